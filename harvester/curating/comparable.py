"""What of a row's prompt and of its answer is compared with those of others, and what has to be the same."""

import json
from collections.abc import Iterator, Mapping

from harvester.curating.base import Example
from harvester.curating.word_grams import normalised
from harvester.records import Json
from harvester.secret_forms import texts_in
from harvester.verify.copied_span import stands_in

LEAST_CHARACTERS = 20
"""Of a seed's text that is compared in place of the prompt."""


def of_prompt(example: Example) -> tuple[str, str]:
    """(the text that is compared, what has to be equal for it to be compared at all).

    The prompt's own content is the longest text of its seed. Around it are the template and the seed's other values: a
    question about a passage, the language to translate into. Where no text of the seed stands in the prompt, all of it
    is compared, and the short values in it have to be equal: the numbers of a puzzle, the word to be explained.
    """
    prompt = example.prompt
    longest = longest_text(example)
    if len(longest) >= LEAST_CHARACTERS:
        return longest, spaced(prompt.replace(longest, "\0"))
    form = spaced(prompt)
    standing = {value for found in _values(example.seed) if (value := spaced(found)) and stands_in(value, form)}
    return prompt, "\0".join(sorted(standing))


def longest_text(example: Example) -> str:
    """Of the seed's texts that stand in the prompt the longest; empty where none does."""
    texts = {text for value in texts_in(example.seed) if (text := value.strip()) and text in example.prompt}
    return max(texts, key=lambda text: (len(text), text), default="")


def of_answer(example: Example) -> tuple[str, str]:
    """(the text that is compared, what has to be equal for it to be compared at all).

    Of an answer that is JSON the texts are compared, for the names of its fields are in every answer; its numbers, its
    true, false and null, and where they stand, have to be equal.
    """
    answer = example.answer
    if answer.lstrip()[:1] in ("{", "["):
        try:
            value = json.loads(answer)
            return "\n".join(texts_in(value)), "\0".join(sorted(_scalars(value)))
        except (ValueError, RecursionError):
            pass
    return answer, ""


def spaced(text: str) -> str:
    """One form for texts that differ in case, white space or compatible characters; punctuation counts."""
    return " ".join(normalised(text).split())


def _scalars(value: Json, path: str = "") -> Iterator[str]:
    """Each value that is no text, after the names of the fields that lead to it."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _scalars(inner, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _scalars(inner, f"{path}.{number}")
    elif not isinstance(value, str):
        whole = isinstance(value, float) and value.is_integer()  # 2.0 is 2
        yield f"{path}={int(value) if whole else value}"


def _values(value: Json) -> Iterator[str]:
    """Every text and number that a seed holds."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, Mapping):
            left.extend(one.values())
        elif isinstance(one, list | tuple):
            left.extend(one)
        elif isinstance(one, str | int | float) and not isinstance(one, bool):
            yield str(one)
