"""Options of tool_generate.py that cannot work are refused in one line, before anything is drawn."""

import pytest

from pictures.region_maps import save_map
from small_maps import region_ids


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sampling-steps", "-5"], "steps must be between 1 and 1000, got -5"),
        (["--sampler", "euler"], "sampler must be one of"),
        (["--num", 0], "--num must be between 1"),
        (["--batch-size", 65], "--batch-size must be between"),
        (["--size", 32], "--size must be between 64"),
        (["--guidance", "nan"], "--guidance must be between"),
        (["--limit", 0], "--limit must be between"),
        (["--denoise", 0], "denoise must be above 0"),
        (["--grow", 2], "about the regions of --inpaint"),
        (["--inpaint", "hat"], "--inpaint hat: there is no region 'hat': regions are background, top"),
        (["--photo", "none"], "--photo none is no folder"),
        (["--prompts", "none.csv"], "the table none.csv does not exist"),
        (["--maps", "none"], "the folder of maps none does not exist"),
        (["--maps", "here", "--out", "here"], "--out .*here is a folder of what is drawn from"),
        (["--out", __file__], "refused.py is a file, a folder is wanted"),
        (["--out", f"{__file__}/out"], "refused.py is a file, a folder is wanted"),
        (["--maps", __file__], "refused.py is a file, not a folder"),
        (["--maps", "here"], "here/maps.csv: its first line must name the columns map and photo"),
        (["--maps", "empty"], "empty/maps.csv lists no map: tool_annotate.py goes on"),
        (["--prompts", "here"], "the table .*here is a folder, not a file"),
        (["--prompt", "a" * 2001], "--prompt has 2001 characters"),
        (["--negative", "\udc80"], "--negative holds characters that no file takes"),
        (
            ["--maps", "plain", "--inpaint", "top"],
            "no row can be drawn, see .*: no photo is named: give --photo",
        ),
        (["--control", ""], r"a control is FILE\[:STRENGTH.*, got ''"),
        (["--control", "none.ckpt:1:0.5"], "none.ckpt:1 does not exist, where a control is FILE"),
        (["--control", f"{__file__}@none"], "refused.py: the folder of its maps none does not"),
        (["--control", "none.ckpt"], "none.ckpt does not exist"),
        (["--control", "none.ckpt:12"], "none.ckpt does not exist, where a control is FILE"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(draw, tmp_path, arguments, message):
    folders = "here", "empty", "plain"
    for name in folders:
        (tmp_path / name).mkdir()
    (tmp_path / "here" / "maps.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty" / "maps.csv").write_text("map,photo\n")
    save_map(tmp_path / "plain" / "1.png", region_ids(1))
    arguments = [tmp_path / value if value in folders else value for value in arguments]
    with pytest.raises(SystemExit, match=message) as stopped:
        draw(tmp_path / "out", *arguments)
    assert str(stopped.value).startswith("error: ") and "\n" not in str(stopped.value)
