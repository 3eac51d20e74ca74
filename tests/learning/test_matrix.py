"""Matrices of runs: every shipped one describes models that can be built; runs are shared and resumed."""

import csv
import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import tool_evaluate
import tutorial_matrix
from cldm.model import create_on_meta
from evaluation.run import read_sweep
from jobs.yaml_files import read_yaml
from learning import matrix as matrices
from learning.matrix import (
    Matrix,
    change_recipe,
    check_rows,
    choose_runs,
    compare_rows,
    mean_and_reach,
    read_drawings,
    write_results,
)
from reporting.tables import write_rows
from small_fittings import draw_fittings

YAMLS = sorted(Path("models/matrices").glob("*.yaml"))
DRAWINGS = [path for path in YAMLS if "checkpoint" in read_yaml(path)]
SHIPPED = [path for path in YAMLS if path not in DRAWINGS]


def write_matrix(folder, **changes):
    content = dict(run=str(folder / "runs"), seeds=[0, 1], rows={"as it is": None, "two": dict(batch_size=2)})
    path = folder / "matrix.yaml"
    path.write_text(yaml.safe_dump(content | changes, sort_keys=False))
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_row_of_a_shipped_matrix_describes_a_model_of_its_own(path, tmp_path):
    matrix = replace(Matrix.read(path), folder=tmp_path)
    options = check_rows(matrix)
    described = [(str(read_yaml(o.model)), str(replace(o, base="", model=""))) for o in options.values()]
    assert len({*described}) == len(matrix.rows)
    for wanted in options.values():
        names = create_on_meta(wanted.model).conditions
        assert "garment" in names


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.stem)
def test_options_of_a_shipped_matrix_of_drawings_are_those_of_the_tool(path, monkeypatch):
    monkeypatch.setattr(sys, "argv", read_drawings(path)[1:])
    arguments = tool_evaluate.parse_arguments()
    assert arguments.checkpoints == [read_yaml(path)["checkpoint"]]
    assert len(read_sweep(arguments.sweep, None, [Path("a")])) > 1 and arguments.out.parent == Path("runs")


def test_a_matrix_of_drawings_draws_and_trains_nothing(tmp_path, monkeypatch):
    path = tmp_path / "guidance.yaml"
    path.write_text("checkpoint: a.safetensors\noptions: { sweep: '1,2', limit: 3 }")
    called = []
    monkeypatch.setattr(matrices, "call", lambda command: called.append(command) or 3)
    monkeypatch.setattr(sys, "argv", ["tutorial_matrix.py", str(path)])
    with pytest.raises(SystemExit) as stopped:
        tutorial_matrix.main()
    assert stopped.value.code == 3  # what the drawing ended with
    ((_, script, *given),) = called
    assert Path(script).name == "tool_evaluate.py"
    assert given == ["a.safetensors", "sweep=1,2", "limit=3", f"out={Path('runs', 'guidance')}"]
    path.write_text("checkpoint: a.safetensors\nseeds: [0]")
    with pytest.raises(SystemExit, match="unknown key of .*, which compares drawings.* 'seeds'"):
        tutorial_matrix.main()


def test_a_changed_recipe_is_the_recipe_with_that_change(tmp_path):
    row = dict(recipe={"train_unet": "attn1", "conditions.mask": None, "unet_config.params.in_channels": 8})
    path = write_matrix(tmp_path, rows={"one": row}, options=dict(model="models/tryon_tiny_joint.yaml"))
    (options,) = check_rows(Matrix.read(path)).values()
    changed, plain = read_yaml(options.model), read_yaml("models/tryon_tiny_joint.yaml")
    params = changed["model"]["params"]
    assert params.pop("train_unet") == "attn1" and list(params["conditions"]) == [
        "text",
        "agnostic",
        "garment",
    ]
    wanted = plain["model"]["params"]
    del wanted["train_unet"], wanted["conditions"]["mask"]
    wanted["unet_config"]["params"]["in_channels"] = 8
    assert params == wanted


def test_a_condition_enters_where_the_row_says():
    params = dict(conditions=dict(text=1, garment=2))
    change_recipe(params, {"conditions.image": dict(before="garment", target="x"), "conditions.pose": 4})
    assert list(params["conditions"].items()) == [
        ("text", 1),
        ("image", dict(target="x")),
        ("garment", 2),
        ("pose", 4),
    ]


@pytest.mark.parametrize(
    "changes, says",
    [
        (dict(rows={}), "no `rows`"),
        (dict(row={}), "unknown key of .* 'row'"),
        (dict(seeds=[1, 1]), "seeds must differ"),
        (dict(rows={"a b": None, "a  b": None}), "names of rows must differ"),
        (dict(rows={"one": dict(seed=3)}), "row 'one' gives seed"),
        (dict(rows={"one": dict(batchsize=3)}), "row 'one': unknown option 'batchsize', .*batch_size"),
        (dict(rows={"one": dict(recipe={"conditions.garmet.x": 1})}), "'garmet', did you mean 'garment'"),
        (dict(rows={"one": dict(recipe={"conditions.garment.params.time": 1})}), "row 'one': .*zero, sync"),
        (dict(rows={"one": dict(recipe={"dreem": None})}), "row 'one': unknown key of the recipe.*'dreem'"),
        (dict(columns=["metric.loss"]), "unknown table in columns .*'metric'"),
    ],
)  # fmt: skip
def test_a_matrix_that_cannot_be_trained_is_refused_before_anything_is(tmp_path, changes, says):
    with pytest.raises(ValueError, match=says):
        check_rows(Matrix.read(write_matrix(tmp_path, **changes)))


def test_machines_that_share_a_matrix_train_every_run_once(tmp_path):
    matrix = Matrix.read(write_matrix(tmp_path))
    assert [run.number for run in matrix.runs] == [1, 2, 3, 4]
    shares = [choose_runs(matrix, machine=f"{part}/3") for part in (1, 2, 3)]
    assert sorted(run.number for share in shares for run in share) == [1, 2, 3, 4]
    assert [run.number for run in choose_runs(matrix, [2, 3])] == [2, 3]
    with pytest.raises(ValueError, match="no run 5: runs have the numbers 1 to 4"):
        choose_runs(matrix, [5])
    with pytest.raises(ValueError, match="K/N"):
        choose_runs(matrix, machine="4/3")


def test_an_interval_is_students():
    mean, reach = mean_and_reach([1.0, 2.0, 3.0])
    assert mean == 2 and math.isclose(reach, 4.303 / math.sqrt(3), rel_tol=1e-3)
    assert mean_and_reach([1.0]) == (1.0, None)
    assert math.isclose(
        mean_and_reach([0.0] * 5 + [1.0] * 5)[1], 2.262 * (5 / 18) ** 0.5 / 10**0.5, rel_tol=1e-2
    )


def test_differences_are_paired_by_seed(tmp_path):
    matrix = Matrix.read(write_matrix(tmp_path, columns=["validation.loss"]))
    for run, loss in zip(matrix.runs, (1.0, 3.0, 0.5, 2.5), strict=True):
        run.folder.mkdir(parents=True)
        write_rows(
            run.folder / "validation.csv", [dict(step=1, loss=9), dict(step=2, loss=loss)], ["step", "loss"]
        )
    first, second = compare_rows(matrix)
    assert first["validation.loss"].startswith("2.000 ±") and "(" not in first["validation.loss"]
    assert second["validation.loss"].endswith("(-0.500 ± 0.000)")
    page = write_results(matrix)
    assert "-0.500 ± 0.000" in page.read_text() and (matrix.folder / "matrix.md").read_text().count("|") > 8
    assert (matrix.folder / "matrix.csv").read_text().splitlines()[3] == "two,0,validation.loss,0.5"


def test_what_is_finished_is_not_trained_again_and_what_failed_is_named(tmp_path, monkeypatch):
    rows = {"good": None, "bad": dict(max_steps=5)}
    options = dict(base="models/tiny/base.safetensors", max_steps=4)
    matrix = Matrix.read(write_matrix(tmp_path, rows=rows, seeds=[7, 8], options=options))
    called = []

    def call(command):
        called.append(command)
        return "max_steps=5" in command

    monkeypatch.setattr(matrices, "call", call)
    first = matrix.runs[0]
    first.folder.mkdir(parents=True)
    write_rows(first.folder / "metrics.csv", [dict(step=4, loss=1)], ["step", "loss"])
    failed = matrices.train_runs(matrix, matrix.runs)
    assert [run.number for run in failed] == [3, 4]
    assert [[part for part in c if part.startswith(("seed=", "run="))] for c in called] == [
        [f"seed={run.seed}", f"run={run.folder}"] for run in matrix.runs[1:]
    ]


def test_the_script_lists_trains_and_compares(tmp_path):
    rows = {"joint": None, "frozen garment": dict(recipe={"conditions.garment.params.train": "none"})}
    options = dict(max_steps=1, measure_maps=2, batch_size=2, image_log_every=0, data=str(tmp_path / "none"))
    path = write_matrix(tmp_path, rows=rows, seeds=[0], options=options, graft="models/tiny/base.safetensors")

    def run(*arguments):
        command = [sys.executable, "tutorial_matrix.py", str(path), *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    listed = run("--list")
    assert listed.returncode == 0, listed.stderr
    assert "2 frozen garment, seed 0: step 0 of 1" in listed.stdout
    trained = run()
    assert trained.returncode == 1 and "failed: run 1, 2" in trained.stderr, trained.stderr
    assert "is no training folder" in trained.stderr
    assert (
        json.loads((tmp_path / "runs/bases.json").read_text())
        and (tmp_path / "runs/base_2.safetensors").exists()
    )


@pytest.mark.slow
def test_two_rows_of_a_shipped_matrix_go_from_end_to_end(tmp_path):
    """A handful of steps of CatVTON's stack and of the first of DeCo-VTON's switches, with table and page."""
    content = read_yaml("models/matrices/deco.yaml")
    few = dict(
        max_steps=2, measure_every=2, measure_maps=2, batch_size=2, sampling_steps=2, image_log_every=2
    )
    options = content["options"] | few | dict(data=str(draw_fittings(tmp_path, 4, 2)))
    rows = dict(list(content["rows"].items())[:2])
    path = tmp_path / "deco.yaml"
    path.write_text(
        yaml.safe_dump(content | dict(run=str(tmp_path / "runs"), options=options, rows=rows, seeds=[0]))
    )
    command = [sys.executable, "tutorial_matrix.py", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    found = list(csv.DictReader((tmp_path / "runs/matrix.csv").open()))
    compared = {row["row"]: {} for row in found}
    for row in found:
        compared[row["row"]][row["column"]] = float(row["value"])
    assert list(compared) == list(rows)
    first, second = compared.values()
    assert first["steps"] == second["steps"] == 2
    assert {"validation.loss", "garment_fidelity.garment_at_16", "garment_fidelity.delta_e"} < first.keys()
    assert first["validation.loss"] != second["validation.loss"]
    page = (tmp_path / "runs/matrix.html").read_text()
    assert page.count("<h2>") == 2 and "garment-free guidance" in page and "<img" in page
    again = subprocess.run(command, capture_output=True, text=True)
    assert "has its 2 steps already" in again.stdout
