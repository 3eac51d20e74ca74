"""Options come from presets and the command line; what no run can be made from is refused by name."""

import pytest

from learning.options import parse_options


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'learning_rate'"):
        parse_options([], ["learning_rat=1e-4"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("max_steps=many", "max_steps"),
        ("max_steps", "key=value"),
        ("batch_size=0", "batch_size must be at least 1"),
        ("prompt_dropout=1.5", "between 0 and 1"),
        ("learning_rate=nan", "learning_rate must be between 0 and 1, got nan"),
        ("zero_conv_factor=nan", "zero_conv_factor must be between"),
        ("warmup_steps=-3", "warmup_steps must be at least 0"),
        ("measure_maps=0", "measure_maps must be at least 1"),
        ("seed=-1", "seed must be between"),
        ("run=", "run must not be empty"),
        ("run=[", "is no yaml"),
        ("preset=[12gb]", "preset must be one of"),
        ("mask_dilation=9999", "mask_dilation must be between 0 and 128"),
        ("after_convergence=accumulate:²", "after_convergence must be empty or accumulate:N"),
        ("flip=perhaps", "flip"),
        ("cached=training/cache", "cached"),
    ],
)
def test_a_wrong_option_is_refused_by_name(override, message):
    with pytest.raises(ValueError, match=message):
        parse_options([], [override])


@pytest.mark.parametrize("content", ["run: [\n", "- a\n", "hello\n", "1: 2\n", "run: a\nrun: b\n"])
def test_a_preset_that_holds_no_options_is_refused(tmp_path, content):
    (tmp_path / "preset.yaml").write_text(content)
    with pytest.raises(ValueError, match="preset.yaml|unknown option"):
        parse_options([tmp_path / "preset.yaml"], [])


def test_nothing_behind_the_equals_sign_is_the_empty_text():
    assert parse_options(["models/train_tiny.yaml"], ["segmenter="]).segmenter == ""


@pytest.mark.parametrize("values", [("", "a.pt"), ("a.pt", ""), ("a.pt", "b.pt"), ("", "")])
def test_of_an_option_given_twice_the_last_counts(values):
    assert parse_options([], [f"segmenter={value}" for value in values]).segmenter == values[-1]
    options = parse_options([], ["preset=12gb", "preset=40gb", "effective_batch=64"])
    assert (options.batch_size, options.effective_batch) == (16, 64)


def test_presets_hold_known_options_only():
    assert parse_options(["models/train_tiny.yaml"], []).model == "models/cldm_tiny.yaml"
    photos = parse_options(["models/train_sd15.yaml"], ["accumulate=8", "cached=false"])
    assert photos.accumulate == 8 and photos.flip and not photos.cached
    assert parse_options([], []).cached and not parse_options([], []).flip
