"""Tiny random Qwen3-VL, Florence-2 and BLIP in folders, laid out and named as the published ones."""

from small_captioners import WORDS, shake

# what published chat templates make of a picture and a question
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }} {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}"
    "{% endif %}{% endfor %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|> assistant {% endif %}"
)


def write_blip(folder):
    from transformers import (
        BertTokenizer,
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessor,
        BlipProcessor,
    )

    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]"]
    tokenizer = BertTokenizer(vocab={word: place for place, word in enumerate([*marks, *WORDS])})
    sizes = dict(hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
    tokens = dict(vocab_size=len(tokenizer), bos_token_id=5, eos_token_id=3, sep_token_id=3, pad_token_id=0)
    text = sizes | tokens | dict(encoder_hidden_size=32, max_position_embeddings=64, is_decoder=True)
    config = BlipConfig(text_config=text, vision_config=sizes | dict(image_size=32, patch_size=16))
    shake(BlipForConditionalGeneration(config), std=0.3).save_pretrained(folder)
    BlipProcessor(BlipImageProcessor(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)
    return folder


def write_qwen(folder):
    """Qwen3-VL, which reads pictures in their own sizes."""
    from transformers import (
        Qwen2Tokenizer,
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    marks = "endoftext im_start im_end vision_start vision_end image_pad video_pad".split()
    tokenizer = Qwen2Tokenizer(vocab=byte_vocabulary(), merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": [f"<|{mark}|>" for mark in marks]})
    tokenizer.eos_token, tokenizer.pad_token = "<|im_end|>", "<|endoftext|>"
    ids = {mark: tokenizer.convert_tokens_to_ids(f"<|{mark}|>") for mark in marks}
    size = {"shortest_edge": 32 * 32, "longest_edge": 64 * 64}
    images = Qwen2VLImageProcessor(patch_size=8, size=size)
    video = Qwen3VLVideoProcessor(patch_size=8, size=size)
    processor = Qwen3VLProcessor(images, tokenizer, video, chat_template=TEMPLATE)
    sizes = dict(hidden_size=32, intermediate_size=32)
    text = sizes | dict(vocab_size=len(tokenizer), num_hidden_layers=2, num_attention_heads=2, head_dim=16)
    text |= dict(num_key_value_heads=1, max_position_embeddings=512)
    text |= dict(rope_parameters=dict(rope_type="default", rope_theta=10000.0, mrope_section=[4, 2, 2]))
    vision = sizes | dict(depth=2, num_heads=2, patch_size=8, out_hidden_size=32, num_position_embeddings=16)
    vision |= dict(deepstack_visual_indexes=[0])
    places = dict(image_token_id=ids["image_pad"], video_token_id=ids["video_pad"])
    places |= dict(vision_start_token_id=ids["vision_start"], vision_end_token_id=ids["vision_end"])
    config = Qwen3VLConfig(text_config=text, vision_config=vision, **places)
    model = shake(Qwen3VLForConditionalGeneration(config), std=0.3)
    # as published: without our say, two runs would differ
    model.generation_config.update(do_sample=True, temperature=0.7, top_p=0.8, top_k=20)
    model.generation_config.update(eos_token_id=[tokenizer.eos_token_id], pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def byte_vocabulary() -> dict[str, int]:
    """The 256 bytes as byte-level tokenizers write them."""
    from tokenizers.pre_tokenizers import ByteLevel

    return {letter: place for place, letter in enumerate(sorted(ByteLevel.alphabet()))}


def write_florence(folder):
    """Florence-2 with its tasks and its 1,000 places."""
    from transformers import (
        BartTokenizer,
        CLIPImageProcessor,
        Florence2Config,
        Florence2ForConditionalGeneration,
        Florence2Processor,
    )

    letters = {letter: place for place, letter in enumerate(sorted(byte_vocabulary()), 4)}
    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3} | letters
    tokenizer = BartTokenizer(vocab=vocabulary, merges=[], extra_special_tokens={"image_token": "<image>"})
    tokenizer.add_tokens([f"<loc_{place}>" for place in range(1000)])
    size = {"height": 64, "width": 64}
    images = CLIPImageProcessor(size=size, do_center_crop=False, image_seq_length=5)
    parts = "pure_text phrase_grounding description_with_bboxes description_with_bboxes_or_polygons".split()
    processor = Florence2Processor(images, tokenizer, post_processor_config={part: {} for part in parts})
    text = dict(model_type="bart", vocab_size=len(tokenizer), d_model=32, max_position_embeddings=256)
    for part in ("encoder", "decoder"):
        text |= {f"{part}_layers": 1, f"{part}_ffn_dim": 32, f"{part}_attention_heads": 2}
    vision = dict(depths=[1] * 4, embed_dim=[8] * 4, num_heads=[2] * 4, num_groups=[2] * 4)
    vision |= dict(window_size=2, projection_dim=32)
    config = Florence2Config(text_config=text, vision_config=vision, image_token_id=tokenizer.image_token_id)
    shake(Florence2ForConditionalGeneration(config), std=0.3).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
