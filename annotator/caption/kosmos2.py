"""Kosmos-2: captions whose phrases have boxes."""

import numpy as np

from annotator.caption.interface import Box, Caption, check_images
from annotator.caption.pretrained import PretrainedCaptioner, to_pictures

WHERE = (
    "Kosmos-2 is a folder of config.json, generation_config.json, model.safetensors, tokenizer.json, "
    "tokenizer_config.json and preprocessor_config.json, as microsoft/kosmos-2-patch14-224 has them, "
    "6.7 GB, downloaded elsewhere; without it, the captioner attributes needs no weights"
)


class Kosmos2Captioner(PretrainedCaptioner):
    """Grounded captions, `An image of` and the like not among their words.

    Pictures are padded to squares: the published processor squashes them, others cut off head and feet.
    """

    name = "kosmos2"
    where = WHERE

    @classmethod
    def model_types(cls):
        return ("kosmos-2",)

    def caption(self, images, prompt=None) -> list[Caption]:
        """A caption of each picture; phrases of its own or of the prompt have their boxes.

        All pictures of a call share one prompt, as the model takes the padding of shorter prompts for words
        (seen with transformers 5.24).
        """
        images = check_images(images)
        if not images:
            return []
        colour = [round(255 * mean) for mean in self.processor.image_processor.image_mean]
        squares = to_pictures([pad_to_square(image, colour) for image in images])
        text = self.options.prompt if prompt is None else prompt
        inputs = self.prepare(images=squares, text=[text] * len(squares))
        tokens, scores = self.generate(inputs)
        said = tokens[:, inputs["input_ids"].shape[1] :]
        return [self._read(text, *one) for one in zip(images, said, scores, strict=True)]

    def _read(self, prompt: str, image, tokens, scores) -> Caption:
        """The caption that a row of generated tokens is."""
        said = self.processor.tokenizer.decode(tokens, skip_special_tokens=True)
        text, _ = self.processor.post_process_generation(said)
        _, entities = self.processor.post_process_generation(prompt + said)
        phrases = []
        for phrase, _, boxes in entities:
            # boxes of no phrase are named after their tokens
            if not phrase.startswith("<patch_index"):
                inside = [unpad_box(box, *image.shape[:2]) for box in boxes]
                phrases.append((phrase, [box for box in inside if box]))
        return Caption(text, phrases, scores)


def pad_to_square(image, colour):
    """A picture (h, w, 3) in the middle of a square (max(h, w), max(h, w), 3) of a colour."""
    height, width = image.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.full((side, side, 3), colour, np.uint8)
    square[top : top + height, left : left + width] = image
    return square


def unpad_box(box: Box, height: int, width: int) -> Box | None:
    """A box in [0, 1] of the square, in [0, 1] of the picture in its middle; None if nothing is left."""
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    x1, x2 = (min(max((x * side - left) / width, 0), 1) for x in (box[0], box[2]))
    y1, y2 = (min(max((y * side - top) / height, 0), 1) for y in (box[1], box[3]))
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None
