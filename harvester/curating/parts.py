"""The parts of a row in which something can stand that must not go out with it."""

from collections.abc import Iterator

from harvester.curating.base import Example
from harvester.secret_forms import texts_in


def parts(example: Example) -> Iterator[tuple[str, str]]:
    """(prompt, answer, reasoning, seed or reference; its text); of a seed what the prompt does not hold already."""
    yield "prompt", example.prompt
    yield "answer", example.answer
    if example.reasoning:
        yield "reasoning", example.reasoning
    for part, value in (("seed", example.seed), ("reference", example.reference)):
        for text in texts_in(value):
            if text not in example.prompt:
                yield part, text


def written(example: Example) -> Iterator[tuple[str, str]]:
    """(answer or reasoning, its text): what the teacher wrote."""
    yield "answer", example.answer
    if example.reasoning:
        yield "reasoning", example.reasoning
