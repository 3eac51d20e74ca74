"""The report of a run comes from its folder alone, whatever has been measured, and stands alone."""

import csv
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from learning.options import TrainOptions
from learning.report import write_report
from pictures.hint import HintEncoder
from reporting.charts import Line, chart
from reporting.strips import save_held_out, save_strip
from reporting.tables import append_rows, forget_after, read_rows, record, write_rows
from sources import ROOT, imported_along

ENCODER = HintEncoder(("background", "top", "bottom"), ((0, 0, 0), (255, 0, 0), (0, 255, 0)))
METRICS = "step pictures loss grad_norm lr pictures_per_second data_wait skipped".split()


@pytest.fixture
def run(tmp_path):
    """A run of 500 steps without a judge, step 7 skipped."""
    options = TrainOptions(run=str(tmp_path), max_steps=1000)
    OmegaConf.save(OmegaConf.structured(options), tmp_path / "options.yaml")
    rows = [[s, 4 * s, 0.1 + 1 / s, 2.0, 1e-5, 31.2, 0.03, int(s == 7)] for s in range(1, 501)]
    rows[6][2:4] = "nan", "inf"
    write_rows(tmp_path / "metrics.csv", [dict(zip(METRICS, row, strict=True)) for row in rows], METRICS)
    for step in (0, 250, 500):
        losses = dict(loss_0_499=0.3, without_0_499=0.31, loss_500_999=0.1, without_500_999=0.11)
        record(tmp_path / "validation.csv", dict(step=step, pictures=4 * step, loss=0.2, gap=0.01) | losses)
    return tmp_path


def judged(run):
    maps = [np.full((64, 64), i, np.uint8) for i in (1, 2)]
    pictures = [np.full((64, 64, 3), 40 * i, np.uint8) for i in (1, 2)]
    save_held_out(run / "samples", ENCODER, maps, ["a <red> top", "trousers"], pictures, pictures)
    for step, miou in ((250, 0.2), (500, 0.6)):
        save_strip(run / "samples" / f"step_{step:06}.png", pictures)
        row = dict(step=step, pictures=4 * step, miou=miou, floor=0.15, ceiling=0.9, top=miou, bottom=miou)
        record(run / "control_miou.csv", row)


def test_a_run_without_a_judge_has_its_losses_its_image_log_and_what_was_skipped(run):
    log = run / "image_log" / "train"
    log.mkdir(parents=True)
    for name in ("control", "samples_cfg_scale_9.00"):
        Image.new("RGB", (64, 64)).save(log / f"{name}_gs-000500_e-000001_b-000003.png")
    page = write_report(run).read_text()
    assert "Step <b>500</b> of 1,000, 2,000 pictures; 31.2 pictures per second" in page
    assert "1 step was skipped" in page and "number: 7." in page
    assert "0.2000</b> with the map, 0.2100 without it" in page and "has not taken over yet" in page
    assert page.count("<svg") == 3 + 5 and page.count("<img") == 2
    assert "Control mIoU" not in page and "learning_rate" in page


def test_a_judged_run_shows_the_verdict_the_curve_and_its_maps(run):
    judged(run)
    told = dict(before=250, after=500, low=0.15, high=0.6, measure="control mIoU", accumulate=0)
    (run / "convergence.json").write_text(json.dumps(told))
    page = write_report(run).read_text()
    told = "(on average, control mIoU was 0.15 before and 0.6 after)"
    assert f"The map took over between steps 250 and 500 {told}." in page
    assert "after_convergence=accumulate:4" in page and "4.0 times the floor" in page
    assert "a &lt;red&gt; top" in page and page.count("<svg") == 1 + 3 + 5 and page.count("<img") == 2


def test_a_run_of_try_on_says_whether_the_garment_is_obeyed(run):
    names = "garment_at_16 detail delta_e".split()
    for step, value in ((250, 0.25), (500, 0.75)):
        row = dict(step=step, pictures=4 * step, mask_psnr=12.0, colour=value, logo="nan")
        row |= dict.fromkeys(names, value) | {f"ceiling_{name}": 1 for name in names}
        row |= {f"{what}_{name}": 0.06 for what in ("rolled", "floor") for name in names}
        record(run / "garment_fidelity.csv", row)
    (run / "tryon.safetensors").touch()
    sides = dict(inside=0.5, inside_without=0.9, outside=0.1, outside_without=0.1)
    losses = read_rows(run / "validation.csv")
    write_rows(run / "validation.csv", [row | sides for row in losses], [*losses[0], *sides])
    page = write_report(run).read_text()
    assert (
        page.index("Loss inside the mask") < page.index("Loss outside the mask") < page.index("Loss at time")
    )
    assert "garment@16 <b>0.75</b> (rolled 0.06, floor 0.06, ceiling 1.00)" in page and "at step 500" in page
    assert page.index("Is the garment obeyed?") < page.index("<h2>Validation loss")
    assert page.count("<svg") == 5 + 3 + 2 + 5 and "Garment fidelity, all measurements" in page
    assert "took over" not in page and not re.search(r"\bmaps?\b", page.split("<summary>Options")[0])


def verdict_of(run, mious, found=None, last_step=500, max_steps=1000):
    """The box of a report, for measurements of which floor and ceiling are 0.15 and 0.9."""
    (run / "control_miou.csv").unlink(missing_ok=True)
    (run / "convergence.json").unlink(missing_ok=True)
    if found:
        (run / "convergence.json").write_text(json.dumps(found | dict(measure="control mIoU", accumulate=0)))
    for step, miou in enumerate(mious, last_step - len(mious) + 1):
        record(run / "control_miou.csv", dict(step=step, pictures=step, miou=miou, floor=0.15, ceiling=0.9))
    OmegaConf.save(OmegaConf.structured(TrainOptions(max_steps=max_steps)), run / "options.yaml")
    return re.search(r"<p class='box.*?</p>", write_report(run).read_text())[0]


TAKEN = dict(before=100, after=200, low=0.15, high=0.6)


@pytest.mark.parametrize(
    ("mious", "found", "max_steps", "said", "not_said"),
    [
        ([0.15, 0.16], None, 1000, "has not taken over yet. It comes suddenly", "may be"),
        ([0.15, 0.16], None, 500, "has not taken over in this run", "yet"),
        (
            [0.15, 0.54],
            None,
            1000,
            "may be taking over: the newest measurement has gone 52 %",
            "yet",
        ),
        ([0.15, 0.54], None, 500, "may be taking over", "not taken"),
        ([0.15, 0.6, 0.6], TAKEN, 1000, "From here on larger steps", "lost"),
        ([0.15, 0.6, 0.6], TAKEN, 500, "took over", "From here on"),
        (
            [0.6, 0.6, 0.16],
            TAKEN,
            1000,
            "been lost since: the newest measurement is 0.16",
            "From here on",
        ),
    ],
)
def test_the_verdict_never_contradicts_the_newest_measurement(run, mious, found, max_steps, said, not_said):
    text = verdict_of(run, mious, found, max_steps=max_steps)
    assert said in text and not_said not in text


def test_a_report_needs_no_other_file_and_no_network(run):
    judged(run)
    page = write_report(run).read_text()
    assert all(source.startswith("data:") for source in re.findall(r'(?:src|href)="([^"]*)"', page))
    assert "http" not in page and "<script" not in page


def test_an_empty_run_and_a_foreign_folder_are_told_apart(run, tmp_path):
    for path in run.glob("*.csv"):
        path.unlink()
    assert "No step has been made yet" in write_report(run).read_text()
    with pytest.raises(FileNotFoundError, match="not the folder of a run: it has no options.yaml"):
        write_report(tmp_path / "nothing")


def test_other_held_out_maps_than_the_strips_are_of_leave_the_curves(run):
    judged(run)
    save_strip(run / "samples" / "step_000250.png", [np.zeros((64, 128, 3), np.uint8)] * 2)
    (run / "samples" / "step_000500.png").unlink()
    page = write_report(run).read_text()
    assert page.count("<img") == 0 and page.count("<svg") == 9


def test_the_command_loads_neither_torch_nor_model(run):
    script = (
        "import sys, runpy; sys.argv = ['tutorial_train.py', '--report', sys.argv[1]]\n"
        "runpy.run_path('tutorial_train.py', run_name='__main__')\n"
        "sys.exit('torch was loaded' if 'torch' in sys.modules else 0)"
    )
    (run / "report.html").unlink(missing_ok=True)
    done = subprocess.run([sys.executable, "-c", script, run], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert str(run / "report.html") in done.stdout and (run / "report.html").exists()


def test_a_chart_spans_its_values_and_breaks_at_what_is_no_number():
    drawn = chart(
        "t",
        [Line("a & b", [0, 10, 20, 30], [0.0, np.nan, 2.0, 4.0], dots=True)],
        found=dict(before=10, after=20),
    )
    assert drawn.count("<circle") == 3 and drawn.count("<title>a &amp; b at step") == 3
    path = re.search(r"<path fill=none .*? d=\"(.*?)\"", drawn)[1]
    assert path.count("M") == 2 and path.count("L") == 1
    for values in ([], [np.nan], [5.0], [1e-5], [0.0, 1e6]):
        assert "nan" not in chart("t", [Line("", list(range(len(values))), values)])
    assert "nan" not in chart("t", [Line("", [0, 1], [0.0, 3.0])], log=True)


def test_rows_beyond_a_step_are_dropped_and_a_row_cut_short_is_passed_over(tmp_path):
    path = tmp_path / "table.csv"
    write_rows(path, [dict(step=1, a=2), dict(step=2, a=3)], ["step", "a"])
    append_rows(path, [dict(step=3, a=4)], ["step", "a"])
    path.write_text(path.read_text() + "4")
    assert [row["step"] for row in read_rows(path)] == ["1", "2", "3"]
    forget_after(path, 2)
    assert path.read_text() == "step,a\n1,2\n2,3\n"
    record(path, dict(step=2, b=5))
    with open(path) as file:
        assert list(csv.DictReader(file)) == [dict(step="1", b=""), dict(step="2", b="5")]


def test_what_a_report_imports_needs_no_torch():
    assert "torch" not in imported_along(ROOT / "learning" / "report.py")


def test_a_report_passes_over_what_is_damaged_or_names_it(run):
    (run / "options.yaml").write_text("max_steps: 700\n")  # an older version's, with fewer options
    with open(run / "metrics.csv", "ab") as file:
        file.write(b"501,2004,hello,1,1,1,1,0\n502,\xff,1,1,1,1,1,0\n503,2012,0.1\n")
    log = run / "image_log" / "train"
    log.mkdir(parents=True)
    (log / "samples_cfg_scale_9.00_gs-000500_e-000001_b-000003.png").write_bytes(b"cut short")
    assert "Step <b>500</b> of 700, 2,000 pictures" in write_report(run).read_text()
    for content in ("[1]", "{"):
        (run / "convergence.json").write_text(content)
        with pytest.raises(ValueError, match="convergence.json is damaged: delete it"):
            write_report(run)
    for content in (b"", b"- 1", b"\xff", b"run: [", b"max_steps:"):
        (run / "options.yaml").write_bytes(content)
        with pytest.raises(ValueError, match="options.yaml is damaged: delete it"):
            write_report(run)


def test_losses_of_nothing_are_no_hindrance(run):
    record(run / "validation.csv", dict(step=501, pictures=2004, loss=0.0, gap=0.0))
    assert "0.0000</b> with the map, 0.0000 without it at step 501." in write_report(run).read_text()
