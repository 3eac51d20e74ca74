"""The tasks of Florence-2, and what their answers say."""

from collections import defaultdict

from .base import Box

# of transformers' kinds of answers those that are a caption
TEXT, GROUNDED = "pure_text", "phrase_grounding"
WITH_BOXES = GROUNDED, "description_with_bboxes", "description_with_bboxes_or_polygons"
# a box's side has 1,000 places, of which the processor gives the middle, in whole units of the picture's side
SIDE = 10_000


def task_of(processor, question: str) -> str | None:
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
