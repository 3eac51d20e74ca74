"""The command line of all scripts: one name for one thing, each spelling, slips named, one line at an end."""

import importlib
import os
import re
import resource
import signal
import subprocess
import sys
from dataclasses import fields

import pytest

from annotator.caption.captioners import CAPTIONERS
from jobs.command_line import LEFT_NOTHING, RESUMES, SHARED, WIDEST, Parser, entry_point
from jobs.parallel import default_workers
from learning.options import TrainOptions, parse_options
from preparation.captions.command_line import read_options
from sources import ROOT, imports, scripts

SCRIPTS = [script.stem for script in scripts() if "jobs.command_line.Parser" in imports(script)]
# a recipe's own numbers, which its results hang on
OWN = {
    ("tutorial_train_base", "--seed"): 2,
    ("tutorial_train_base", "--max-steps"): 12000,
    ("tutorial_train_base", "--config"): "models/cldm_tiny.yaml",
    ("tutorial_train_segmenter", "--max-steps"): 4000,
    ("tutorial_train_segmenter", "--batch-size"): 16,
    ("tutorial_train_segmenter", "--data"): None,
    ("tutorial_dataset_test", "--config"): "models/cldm_v15.yaml",
    ("tutorial_caption", "--dtype"): "fp32",
    ("tool_prepare_data", "--workers"): default_workers(),
    ("tool_evaluate", "--data"): None,
    ("tool_evaluate", "--sampler"): None,
}


class Made(Exception):
    """A parser that has been asked to parse."""


def parser_of(script, monkeypatch) -> Parser:
    def made(self, *_):
        raise Made(self)

    monkeypatch.setattr(Parser, "parse_args", made)
    with pytest.raises(Made) as found:
        importlib.import_module(script).parse_arguments()
    monkeypatch.undo()
    return found.value.args[0]


def options_of(parser):
    return [a for a in parser._actions if a.dest not in ("help", "options") and a.option_strings]


def test_every_script_with_a_command_line_has_this_one():
    expected = [s.stem for s in scripts() if 'if __name__ == "__main__"' in s.read_text(encoding="utf-8")]
    assert expected == SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS)
def test_one_thing_has_one_name_and_one_default(script, monkeypatch):
    for action in options_of(parser_of(script, monkeypatch)):
        [flag] = [flag for flag in action.option_strings if flag.startswith("--")]
        if flag in SHARED and (default := OWN.get((script, flag), SHARED[flag].get("default"))) != []:
            repeatable = action.default == [] and default is None
            assert repeatable or action.default == default, flag


def test_what_is_shared_is_shared_by_several_or_by_options_of_runs(monkeypatch):
    names = [
        flag for s in SCRIPTS for a in options_of(parser_of(s, monkeypatch)) for flag in a.option_strings
    ]
    names += [f"--{entry.name.replace('_', '-')}" for entry in fields(TrainOptions)]
    assert all(names.count(flag) > 1 for flag in SHARED)


@pytest.mark.parametrize("name", sorted({flag[2:].replace("-", "_") for flag in SHARED}))
def test_options_of_a_training_are_named_and_set_as_those_of_other_scripts(name):
    if name in {entry.name for entry in fields(TrainOptions)}:
        default = SHARED["--" + name.replace("_", "-")].get("default")
        own = dict(max_steps=20000, guidance=9.0, segmenter="", base="models/control_sd15_ini.ckpt").get(
            name, default
        )
        if name != "workers":  # one for each core, wherever it is not given
            assert str(getattr(parse_options([], []), name)) == str(own)


def test_the_docs_list_what_is_shared():
    text = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
    for flag, how in SHARED.items():
        default = "" if how.get("default") is None else str(how["default"])
        assert re.search(rf"^\| `{flag}` \| {re.escape(default)} *\|", text, re.MULTILINE), flag
    assert set(re.findall(r"^\| `(--[\w-]+)`", text, re.MULTILINE)) == SHARED.keys()


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_quick_narrow_and_in_sentences(script, monkeypatch):
    command = [sys.executable, f"{script}.py", "--help"]
    environment, seconds = os.environ | dict(COLUMNS="200"), []
    while not seconds or seconds[-1] >= 1 and len(seconds) < 3:  # others slow it down, nobody speeds it up
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        shown = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 1
    assert max(map(len, shown.stdout.splitlines())) <= WIDEST
    for action in parser_of(script, monkeypatch)._actions:
        texts = [action.help] if action.help != "==SUPPRESS==" else []
        assert all(re.fullmatch(r"[A-Z0-9λ].*\.", text, re.DOTALL) for text in texts), action.help


@pytest.mark.parametrize(
    "given",
    [
        ["--max-steps", "300", "--flip", "--data", "training/mine"],
        ["--max-steps=300", "--flip=true", "--data=training/mine"],
        ["max_steps=300", "flip=true", "data=training/mine"],
        ["max-steps=300", "--flip", "true", "data=training/mine"],
        ["--max_steps", "300", "--flip", "data=training/mine"],
        ["max_steps=200", "data=training/mine", "--flip", "max_steps=300"],
    ],
)
def test_options_of_a_training_can_be_spelt_in_three_ways(given, monkeypatch):
    train = importlib.import_module("tutorial_train")
    monkeypatch.setattr(sys, "argv", ["tutorial_train.py", "--config", "models/train_tiny.yaml", *given])
    options, preset = train.parse_arguments()
    assert (options.max_steps, options.flip, options.data) == (300, True, "training/mine")
    assert preset == "models/train_tiny.yaml"


@pytest.mark.parametrize("given", [["--max-steps", "7"], ["max_steps=7"], ["--max_steps=7"]])
@pytest.mark.parametrize("script", ["tutorial_train_base", "tutorial_train_segmenter"])
def test_other_trainings_take_them_likewise(script, given, monkeypatch):
    monkeypatch.setattr(sys, "argv", [f"{script}.py", *given, "run=runs/here"])
    arguments = importlib.import_module(script).parse_arguments()
    assert arguments.max_steps == 7 and str(arguments.run) == "runs/here"


@pytest.mark.parametrize(
    "given",
    [["mode=fast", "start=blip"], ["--mode", "fast", "--start=blip"], ["--clip_interrogator.mode", "fast"]],
)
def test_options_of_captioners_can_be_spelt_in_three_ways(given, monkeypatch):
    caption = importlib.import_module("tutorial_caption")
    command = ["tutorial_caption.py", "folder", "--captioner", "clip_interrogator", *given, "--limit", "3"]
    monkeypatch.setattr(sys, "argv", command)
    arguments = caption.parse_arguments()
    assert (arguments.folder, arguments.limit) == ("folder", 3)
    options = read_options(["clip_interrogator"], arguments.options)["clip_interrogator"]
    assert options.mode == "fast" and options.start in ("", "blip")


@pytest.mark.parametrize("name", CAPTIONERS)
def test_no_option_of_a_captioner_has_the_name_of_one_of_the_script(name, monkeypatch):
    actions = options_of(parser_of("tutorial_caption", monkeypatch))
    own = {flag for action in actions for flag in action.option_strings}
    assert not {f"--{entry.name.replace('_', '-')}" for entry in fields(CAPTIONERS[name].options)} & own


SLIPS = [
    ("tutorial_train", ["--max-step", "300"], "'--max-step', did you mean '--max-steps'?"),
    ("tutorial_train", ["max_step=300"], "'max_step', did you mean '--max-steps'?"),
    ("tutorial_train", ["300"], "'300' is one argument too many"),
    ("tutorial_train_base", ["--stepz=9"], "'--stepz'"),
    ("tutorial_train_segmenter", ["batchsize=9"], "'batchsize', did you mean '--batch-size'?"),
    ("tutorial_caption", ["folder", "--modes", "fast"], "'--modes', did you mean '--mode'?"),
    ("tutorial_caption", ["folder", "wordz=x"], "'wordz', did you mean '--words'?"),
    ("tool_generate", ["--sampling-step", "3"], "did you mean '--sampling-steps'?"),
    ("tool_evaluate", ["a.safetensors", "guidence=3"], "did you mean '--guidance'?"),
    ("tool_convert", ["a", "b", "c"], "'c' is one argument too many"),
    ("tool_generate", ["--seed", "x"], "--seed"),
    ("gradio_seg2image", ["share=perhaps"], "true or false"),
]


@pytest.mark.parametrize(("script", "given", "told"), SLIPS)
def test_a_slip_is_one_line_with_the_nearest_name(script, given, told, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{script}.py", *given])
    with pytest.raises(SystemExit) as stopped:
        importlib.import_module(script).parse_arguments()
    said = capsys.readouterr().err or str(stopped.value)
    assert stopped.value.code == 2 and said.startswith("error: ") and told in said and said.count("\n") == 1


def test_a_value_may_look_like_an_option(monkeypatch):
    generate = importlib.import_module("tool_generate")
    monkeypatch.setattr(
        sys, "argv", ["tool_generate.py", "--prompt", "size=3 shoes", "num=2", "--seed", "-1"]
    )
    arguments = generate.parse_arguments()
    assert (arguments.prompt, arguments.num, arguments.seed) == ("size=3 shoes", 2, -1)


def test_a_switch_can_be_given_as_true_or_false(monkeypatch):
    page = importlib.import_module("gradio_seg2image")
    monkeypatch.setattr(sys, "argv", ["gradio_seg2image.py", "share=false", "--low-memory=true"])
    arguments = page.parse_arguments()
    assert arguments.low_memory and not arguments.share


def test_a_file_whose_name_has_an_equals_sign_is_a_file(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lr=1e-4.safetensors").touch()
    monkeypatch.setattr(sys, "argv", ["tool_evaluate.py", "lr=1e-4.safetensors", "--limit", "2"])
    assert importlib.import_module("tool_evaluate").parse_arguments().checkpoints == ["lr=1e-4.safetensors"]


# --- how a script ends

WAYS = {
    "while it imports": "import slow_module",
    "while it works": "print('begun', flush=True); time.sleep(900)",
    "while it starts processes": "begin(); list(run_jobs(time.sleep, [(900,)] * 4, 2))",
    "while an object goes": "Slow(); time.sleep(900)",
    "while a thread works": "threading.Thread(target=time.sleep, args=[1]).start(); begin(); time.sleep(900)",
}
SCRIPT = """
import sys, threading, time
from annotator.caption.captioners import CAPTIONERS
from jobs.command_line import RESUMES, entry_point
from jobs.parallel import run_jobs
def begin():
    print("begun", flush=True)
class Slow:
    def __del__(self):
        begin()
        time.sleep(3)
@entry_point(RESUMES)
def main():
    {way}
if __name__ == "__main__":
    main()
"""


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("way", WAYS)
def test_a_stopped_script_says_one_line_and_its_exit_code(tmp_path, way, number):
    """Ctrl-C goes to all processes of a terminal's group, SIGTERM to one."""
    (tmp_path / "slow_module.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(900)\n")
    (tmp_path / "script.py").write_text(SCRIPT.format(way=WAYS[way]))
    process = subprocess.Popen(
        [sys.executable, tmp_path / "script.py"],
        env=os.environ | dict(PYTHONPATH=str(ROOT)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "begun\n"
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    said, errors = process.communicate(timeout=600)
    assert (said, errors.strip(), process.returncode) == ("", RESUMES, 128 + number)


def test_every_script_ends_like_that():
    for script in SCRIPTS:
        main = importlib.import_module(script).main
        assert hasattr(main, "__wrapped__"), f"{script}.main is no entry point"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("size must be 64"), "error: size must be 64"),
        (FileNotFoundError("a.png does not exist"), "error: a.png does not exist"),
        (ValueError("two\nlines"), "error: two\nlines"),
        (ValueError("Caught\nTraceback (most recent call last):\nValueError: b.png"), "error: b.png"),
        (ValueError(), "error: ValueError"),
    ],
)
def test_a_mistake_is_said_without_a_traceback(error, told):
    @entry_point(LEFT_NOTHING)
    def main():
        raise error

    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == told
