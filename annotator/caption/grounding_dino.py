"""Grounding DINO: where in a picture given phrases are."""

from collections import defaultdict

from annotator.caption.interface import Box, Caption, check_images
from annotator.caption.pretrained import PretrainedCaptioner, to_pictures
from annotator.caption.training_folder import caption_in, phrases_in

WHERE = (
    "Grounding DINO is a folder of config.json, model.safetensors, preprocessor_config.json, tokenizer.json "
    "and tokenizer_config.json, as IDEA-Research/grounding-dino-tiny or grounding-dino-base has them, "
    "downloaded elsewhere; without it, the captioner attributes needs no weights"
)
MODEL_TYPES = ("grounding-dino", "mm-grounding-dino")


class GroundingDino(PretrainedCaptioner):
    """Captions of those given phrases that are found in a picture, with their boxes."""

    name = "grounding_dino"
    where = WHERE
    auto_model = "AutoModelForZeroShotObjectDetection"

    @classmethod
    def model_types(cls):
        return MODEL_TYPES

    @classmethod
    def check_options(cls, options) -> None:
        if not 0 <= options.box_threshold <= 1:
            raise ValueError(f"box_threshold must be in [0, 1], got {options.box_threshold}")

    def caption(self, images, prompt=None) -> list[Caption]:
        """The phrases of `prompt`, parted by ';', that each picture shows; by default the options'."""
        phrases = phrases_in(self.options.phrases if prompt is None else prompt, ";")
        if not phrases:
            raise ValueError("there are no phrases to look for: give phrases=shirt;skirt;... or lines")
        return self.caption_phrases(images, [phrases] * len(images))

    def caption_lines(self, lines, images) -> list[Caption]:
        """The same; without phrases in the options, each line's captions of a column say what to look for."""
        if self.options.phrases:
            return self.caption(images)
        return self.caption_phrases(images, [phrases_in(caption_in(x, self.options.source)) for x in lines])

    def caption_phrases(self, images, phrases: list[list[str]]) -> list[Caption]:
        """Each picture's own phrases, as far as found, in their order, each with its boxes, surest first.

        scores: `found`, the share of the phrases that was found, and `score`, the mean of the best box of
        each of these, both in [0, 1]; nothing where no phrase was given.
        """
        captions = []
        for asked, boxes in zip(phrases, self.find(images, phrases), strict=True):
            found = [(phrase, [box for _, box in boxes[phrase]]) for phrase in asked if phrase in boxes]
            scores = {"found": len(found) / len(asked)} if asked else {}
            if found:
                scores["score"] = sum(boxes[phrase][0][0] for phrase, _ in found) / len(found)
            captions.append(Caption(", ".join(phrase for phrase, _ in found), found, scores))
        return captions

    def find(self, images, phrases: list[list[str]]) -> list[dict[str, list[tuple[float, Box]]]]:
        """What is found of each picture's phrases: phrase -> (score, box), surest first.

        A box belongs to the phrase with the most probable word, and counts if that is over box_threshold.
        Pictures are batched by size, as the padding of smaller ones would change what is found in them.
        """
        images = check_images(images)
        asked = defaultdict(list)
        for number, (image, wanted) in enumerate(zip(images, phrases, strict=True)):
            for some in self._questions(wanted):
                asked[image.shape].append((number, some))
        found = [defaultdict(list) for _ in images]
        for same_size in asked.values():
            numbers, questions = zip(*same_size, strict=True)
            answers = self._ask([images[number] for number in numbers], questions)
            for number, answer in zip(numbers, answers, strict=True):
                for phrase, score, box in answer:
                    found[number][phrase].append((score, box))
        return [{phrase: sorted(boxes, reverse=True) for phrase, boxes in of_one.items()} for of_one in found]

    def _questions(self, phrases: list[str]) -> list[list[str]]:
        """Phrases in groups whose texts the model reads to the end; ValueError for one that it would cut."""
        groups = []
        for phrase in phrases:
            if self._too_long([phrase]):
                raise ValueError(f"a phrase is too long for Grounding DINO, is it one? {phrase[:100]!r}")
            if not groups or self._too_long([*groups[-1], phrase]):
                groups.append([])
            groups[-1].append(phrase)
        return groups

    def _too_long(self, phrases) -> bool:
        tokens = self.processor.tokenizer(as_question(phrases))["input_ids"]
        return len(tokens) > self.model.config.max_text_len

    def _ask(self, images: list, questions) -> list[list[tuple[str, float, Box]]]:
        """(phrase, score, box) of what is found in pictures of one size, to each its question."""
        import torch

        texts = [as_question(phrases) for phrases in questions]
        inputs = self.prepare(images=to_pictures(images), text=texts, padding=True)
        with torch.inference_mode():
            outputs = self.model(**inputs)
        tokens = inputs["input_ids"]
        # (b, queries, tokens), (b, queries, 4) of centres and sizes in [0, 1]
        scores = outputs.logits[..., : tokens.shape[1]].float().sigmoid().cpu()
        centres, sizes = outputs.pred_boxes.float().cpu().chunk(2, dim=-1)
        boxes = torch.cat([centres - sizes / 2, centres + sizes / 2], dim=-1).clamp(0, 1)
        return [self._answer(*one) for one in zip(questions, tokens.cpu(), scores, boxes, strict=True)]

    def _answer(self, phrases, tokens, scores, boxes):
        """What is found in one picture: of tokens (n,), scores (queries, n) and boxes (queries, 4)."""
        import torch

        tokenizer = self.processor.tokenizer
        stop = tokenizer.convert_tokens_to_ids(".")
        marks = [tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id, stop]
        words = ~torch.isin(tokens, torch.tensor(marks))
        # a token's phrase is the number of full stops before it
        places = (tokens == stop).cumsum(0)
        best = [(scores * (words & (places == place))).amax(1) for place in range(len(phrases))]
        values, chosen = torch.stack(best, dim=1).max(1)
        kept = (values > self.options.box_threshold).nonzero()[:, 0].tolist()
        return [(phrases[chosen[q]], values[q].item(), tuple(boxes[q].tolist())) for q in kept]


def as_question(phrases) -> str:
    """Phrases as the model reads them: "a hat . a mini skirt ."."""
    # its own marks between phrases cannot be part of one
    cleaned = (" ".join(phrase.lower().replace(".", " ").replace("?", " ").split()) for phrase in phrases)
    return " . ".join(cleaned) + " ."
