"""Token ids are those of the libraries the models were trained with."""

import gzip
import random
import warnings
from pathlib import Path

import pytest

from ldm.modules.encoders.tokenizer import PromptTokenizer, open_clip_tokenizer

PROMPTS = ["a woman in a red striped dress", "", "Two men, jeans & T-shirts (XXL)! 100% cotton"]


def random_words(seed, num_words):
    rng = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789.,;:!?'\"()[]&%$#@*+-_/ "
    return "".join(rng.choice(letters) + " " * (rng.random() < 0.2) for _ in range(num_words * 5))


@pytest.fixture(scope="module")
def transformers_tokenizer():
    from transformers import CLIPTokenizer

    text = gzip.decompress(Path(open_clip_tokenizer().default_bpe()).read_bytes()).decode()
    merges = [tuple(line.split()) for line in text.split("\n")[1:48895]]
    symbols = list(open_clip_tokenizer().bytes_to_unicode().values())
    vocab = symbols + [s + "</w>" for s in symbols] + ["".join(m) for m in merges]
    vocab += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: i for i, token in enumerate(vocab)}, merges=merges)


def test_token_ids_are_those_of_transformers(transformers_tokenizer):
    prompts = PROMPTS + [random_words(seed, 1 + seed % 30) for seed in range(500)]
    theirs = transformers_tokenizer(prompts, truncation=True, max_length=77, padding="max_length")[
        "input_ids"
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert PromptTokenizer()(prompts).tolist() == theirs


def test_curly_quotes_read_as_straight_ones():
    tokenizer = PromptTokenizer()
    assert tokenizer.encode("the “girl’s” dress") == tokenizer.encode('the "girl\'s" dress')


def test_sd21_pads_with_zero_and_sd15_with_the_end_token():
    one, two = PromptTokenizer(), PromptTokenizer(padding=0)
    assert one("dress")[0, :4].tolist() == [49406, 2595, 49407, 49407]
    assert two("dress")[0, :4].tolist() == [49406, 2595, 49407, 0]


@pytest.mark.parametrize("vocab_size", [514, 1000, 4096])
def test_a_smaller_vocabulary_reads_the_same_text_in_more_pieces(vocab_size):
    small, full = PromptTokenizer(vocab_size), PromptTokenizer()
    text = "a woman wearing a floral turtleneck"
    ids = small(text)[0]
    assert ids[0] == vocab_size - 2 and ids[-1] == vocab_size - 1 and ids.max() < vocab_size
    assert len(small.encode(text)) >= len(full.encode(text))
    assert small.decode(small.encode(text)) == text


def test_a_prompt_that_is_too_long_is_cut_with_one_warning_that_names_the_rest():
    tokenizer = PromptTokenizer()
    prompt = " ".join(["dress"] * 75 + ["yellow", "hat"])
    with pytest.warns(UserWarning, match="77 tokens.*'yellow hat'") as caught:
        ids = tokenizer([prompt, prompt, "short"])
    assert len(caught) == 1 and ids.shape == (3, 77)
    assert ids[0].tolist() == [49406] + [2595] * 75 + [49407]
