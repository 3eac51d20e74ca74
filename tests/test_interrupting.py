"""Ctrl-C before a script has begun its work ends it with one line, and with the code that shells expect."""

import signal
import sys

import pytest

import tool_evaluate
import tutorial_dataset
import tutorial_train
from ldm.checkpoint import write_state_dict
from small import small_model
from small_data import WIDE, write_base, write_items


@pytest.fixture
def handlers():
    numbers = signal.SIGINT, signal.SIGTERM
    former = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, former, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)
@pytest.mark.parametrize("script", [tutorial_train, tool_evaluate], ids=["train", "evaluate"])
def test_a_stop_before_the_first_step_is_one_line(
    handlers, monkeypatch, tmp_path, capsys, script, number, code
):
    base, data = write_base(tmp_path), tmp_path / "data"
    data.mkdir()
    write_items(data, [WIDE], split="val")
    (tmp_path / "preset.yaml").write_text(
        f"run: {tmp_path}/run\ndata: {data}\nbase: {base}/ini.safetensors\n"
    )
    write_state_dict(small_model().state_dict(), tmp_path / "whole.safetensors")
    arguments = ["--config", f"{tmp_path}/preset.yaml"]
    if script is tool_evaluate:
        arguments = [f"{tmp_path}/whole.safetensors", "--data", str(data), "--out", f"{tmp_path}/out"]
    monkeypatch.setattr(sys, "argv", ["script", *arguments])
    monkeypatch.setattr(
        tutorial_dataset.MyDataset, "__init__", lambda *arguments: signal.raise_signal(number)
    )
    with pytest.raises(SystemExit) as stop:
        script.main()
    assert stop.value.code == code
    assert capsys.readouterr().err == "\nstopped; the same command resumes\n"
    assert not (tmp_path / "run").exists()
