"""Tiny random models of phrases with boxes, in folders: Kosmos-2 and Grounding DINO."""

from small_captioners import WORDS, shake


def write_kosmos2(folder):
    """Kosmos-2 with its real tags and 1,024 places, and words of WORDS."""
    from transformers import (
        CLIPImageProcessor,
        Kosmos2Config,
        Kosmos2ForConditionalGeneration,
        Kosmos2Processor,
        XLMRobertaTokenizer,
    )

    marks = ["<s>", "<pad>", "</s>", "<unk>"]
    pieces = ["▁", *(f"▁{word}" for word in WORDS), *"abcdefghijklmnopqrstuvwxyzAD:,."]
    scores = [-1.0 if len(piece) > 1 else -2.0 for piece in pieces]
    vocabulary = [*((mark, 0.0) for mark in marks), *zip(pieces, scores, strict=True)]
    tokenizer = XLMRobertaTokenizer(vocab=vocabulary)
    # cuts the ends of a long picture off
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = Kosmos2Processor(images, tokenizer)
    text = dict(vocab_size=len(tokenizer), embed_dim=32, layers=2, ffn_dim=32, attention_heads=2)
    vision = dict(hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    vision |= dict(image_size=32, patch_size=16)
    model = Kosmos2ForConditionalGeneration(Kosmos2Config(text_config=text, vision_config=vision))
    shake(model, std=0.5)
    # words rather than the many places
    model.get_output_embeddings().weight.data[len(vocabulary) :] *= 0.5
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def write_grounding_dino(folder):
    """Grounding DINO with the ids of its real marks, and words of WORDS."""
    from transformers import (
        BertTokenizer,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
    )

    words = {place: f"[unused{place}]" for place in range(1030)}
    words |= {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1010: ",", 1012: "."}
    words |= dict(enumerate([*WORDS, "person", "-"], 1030))
    tokenizer = BertTokenizer(vocab={word: place for place, word in words.items()})
    size = {"shortest_edge": 64, "longest_edge": 128}
    processor = GroundingDinoProcessor(GroundingDinoImageProcessor(size=size), tokenizer)
    text = dict(model_type="bert", vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1)
    text |= dict(num_attention_heads=2, intermediate_size=32)
    vision = dict(model_type="swin", image_size=64, embed_dim=8, depths=[1, 1, 1], num_heads=[1, 1, 1])
    vision |= dict(window_size=4, out_indices=[2, 3])
    sizes = dict(d_model=32, num_queries=20, num_feature_levels=3)
    for part in ("encoder", "decoder"):
        sizes |= {f"{part}_layers": 2, f"{part}_ffn_dim": 32, f"{part}_attention_heads": 2}
    config = GroundingDinoConfig(backbone_config=vision, text_config=text, **sizes)
    shake(GroundingDinoForObjectDetection(config), std=0.1).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
