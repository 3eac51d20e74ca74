"""Any model that answers questions about pictures: Qwen3-VL, Qwen2.5-VL, SmolVLM, Florence-2 and the like."""

from collections import defaultdict

from annotator.caption.interface import Box, Caption
from annotator.caption.pretrained import PretrainedCaptioner, to_pictures
from annotator.caption.training_folder import caption_in

# of transformers' kinds of answers those that are a caption
TEXT, GROUNDED = "pure_text", "phrase_grounding"
WITH_BOXES = GROUNDED, "description_with_bboxes", "description_with_bboxes_or_polygons"
# a box's side has 1,000 places, of which the processor gives the middle, in whole units of the picture's side
SIDE = 10_000


def find_task(processor, question: str) -> str | None:
    """The task that a question for Florence-2 begins with; None for the processor of another model.

    ValueError for Florence-2 if the question has no task, or one whose answer is no caption.
    """
    kinds = getattr(processor, "tasks_answer_post_processing_type", None)
    if kinds is None:
        return None
    usable = [task for task, kind in kinds.items() if kind in (TEXT, *WITH_BOXES)]
    task = question[: question.find(">") + 1]
    if task not in usable:
        raise ValueError(f"Florence-2 answers one of {', '.join(usable)}, got {question!r}")
    return task


def read_answer(processor, task: str, question: str, tokens) -> tuple[str, list[tuple[str, list[Box]]]]:
    """The caption that generated tokens (n,) are, and its phrases with their boxes in [0, 1].

    The caption of a grounding task is the text that was to be grounded; that of a detection names what was
    detected.
    """
    kind = processor.tasks_answer_post_processing_type[task]
    if kind == TEXT:
        return processor.tokenizer.decode(tokens, skip_special_tokens=True), []
    said = processor.tokenizer.decode(tokens, skip_special_tokens=False)
    answer = processor.post_process_generation(text=said, task=task, image_size=(SIDE, SIDE))[task]
    phrases = defaultdict(list)
    labels = answer.get("labels", answer.get("bboxes_labels"))
    for phrase, box in zip(labels, answer["bboxes"], strict=True):
        left, top, right, bottom = (side / SIDE for side in box)
        if left < right and top < bottom:
            phrases[phrase].append((left, top, right, bottom))
    text = question.removeprefix(task).strip() if kind == GROUNDED else ", ".join(phrases)
    return text, list(phrases.items())


WHERE = (
    "such a model is a folder with all files, but for those of other frameworks, of a repository like "
    "Qwen/Qwen3-VL-2B-Instruct or -4B-Instruct, Qwen/Qwen2.5-VL-3B-Instruct, "
    "HuggingFaceTB/SmolVLM-500M-Instruct or florence-community/Florence-2-base, downloaded elsewhere; "
    "without one, the captioner attributes needs no weights"
)


class VlmCaptioner(PretrainedCaptioner):
    """Answers to one question, or to a task of Florence-2, whose boxes are kept."""

    name = "vlm"
    where = WHERE

    def __init__(self, model, processor, options):
        super().__init__(model, processor, options)
        if not model.config.is_encoder_decoder:
            # what goes on from a text must stand right behind it
            processor.tokenizer.padding_side = "left"

    @classmethod
    def model_types(cls):
        from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

        return MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    def caption(self, images, prompt=None) -> list[Caption]:
        """The answer to `prompt` about each picture."""
        text = self.options.prompt if prompt is None else prompt
        return self.answer(images, [text] * len(images))

    def caption_lines(self, lines, images) -> list[Caption]:
        """The same, each line's caption of the options' column behind the question, if there is a column."""
        prompt, source = self.options.prompt, self.options.source
        asked = [f"{prompt} {caption_in(x, source)}" if source else prompt for x in lines]
        return self.answer(images, asked)

    def answer(self, images, questions: list[str]) -> list[Caption]:
        """What the model says to each picture's own question."""
        if not len(images):
            return []
        tasks = [find_task(self.processor, question) for question in questions]
        pictures = to_pictures(images)
        if getattr(self.processor, "chat_template", None):
            inputs = self._chat(pictures, questions)
        else:
            inputs = self._plain(pictures, questions)
        tokens, scores = self.generate(inputs)
        said = cut_prompt(tokens, inputs["input_ids"])
        texts = self.processor.tokenizer.batch_decode(said, skip_special_tokens=True)
        captions = []
        for task, question, text, row, of_one in zip(tasks, questions, texts, said, scores, strict=True):
            text, phrases = read_answer(self.processor, task, question, row) if task else (text, [])
            captions.append(Caption(" ".join(text.split()), phrases, of_one))
        return captions

    def _chat(self, pictures, questions):
        """Inputs of a model that was trained on conversations."""
        contents = [
            [{"type": "image", "image": picture}, {"type": "text", "text": text}]
            for picture, text in zip(pictures, questions, strict=True)
        ]
        conversations = [[{"role": "user", "content": content}] for content in contents]
        inputs = self.processor.apply_chat_template(
            conversations,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs=dict(padding=True),
        )
        return inputs.to(self.model.device, self.model.dtype)

    def _plain(self, pictures, questions):
        """Inputs of a model that reads questions as they are."""
        try:
            return self.prepare(images=pictures, text=questions, padding=True)
        except ValueError as error:
            # most models are told by their template where in the text the picture is
            raise ValueError(
                f"{error} If the repository has chat_template.jinja or chat_template.json, "
                "the folder lacks it"
            ) from error


def cut_prompt(tokens, prompt):
    """Generated tokens (b, n) without the prompt's (b, m), which some models repeat and others do not."""
    length = prompt.shape[1]
    repeated = tokens.shape[1] >= length and bool((tokens[:, :length] == prompt).all())
    return tokens[:, length:] if repeated else tokens
