"""BLIP: short captions by a small model."""

from annotator.caption.interface import Caption
from annotator.caption.pretrained import PretrainedCaptioner, to_pictures

WHERE = (
    "BLIP is a folder of config.json, model.safetensors (or pytorch_model.bin), preprocessor_config.json, "
    "tokenizer.json and tokenizer_config.json, as Salesforce/blip-image-captioning-base or -large has them, "
    "downloaded elsewhere; without it, the captioner attributes needs no weights"
)


class BlipCaptioner(PretrainedCaptioner):
    """One sentence for each picture, without the prompt's words."""

    name = "blip"
    where = WHERE

    @classmethod
    def model_types(cls):
        return ("blip",)

    def caption(self, images, prompt=None) -> list[Caption]:
        """A caption of each picture, which goes on from `prompt` but does not repeat it."""
        if not len(images):
            return []
        text = self.options.prompt if prompt is None else prompt
        texts = dict(text=[text] * len(images)) if text else {}
        inputs = self.prepare(images=to_pictures(images), **texts)
        tokens, scores = self.generate(inputs)
        # the model takes the prompt without the end mark that its tokenizer adds
        start = inputs["input_ids"].shape[1] - 1 if text else 1
        said = self.processor.tokenizer.batch_decode(tokens[:, start:], skip_special_tokens=True)
        return [Caption(one.strip(), scores=of_one) for one, of_one in zip(said, scores, strict=True)]
