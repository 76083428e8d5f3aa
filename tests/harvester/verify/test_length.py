"""length: characters and words of every script."""

from collections.abc import Callable
from typing import Any

import pytest

from harvester.records import Check
from harvester.verify.length import words_in

Judged = Callable[..., Check]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        (" … — !", 0),
        ("It's three words", 3),
        ("well-known  facts,\nand 3.14", 5),
        ("Здравствуй, мир", 2),
        ("مرحبا بالعالم", 2),
        ("今天天气", 4),
        ("naïve cafe\u0301", 2),
        ("hello\u00a0world", 2),
    ],
)
def test_words_are_counted_in_every_script(text: str, words: int) -> None:
    assert words_in(text) == words


@pytest.mark.parametrize(
    ("answer", "settings", "passed"),
    [
        ("abcde", {"min_chars": 5, "max_chars": 5}, True),
        ("  abcde \n", {"max_chars": 5}, True),
        ("abcdef", {"max_chars": 5}, False),
        ("abcd", {"min_chars": 5}, False),
        ("e\u0301" * 5, {"max_chars": 5}, True),
        ("one two", {"min_words": 2, "max_words": 2}, True),
        ("one", {"min_words": 2}, False),
        ("one two three", {"max_words": 2}, False),
        ('{"s": "one two"}', {"max_words": 2, "field": "s"}, True),
        ('{"s": "one two three"}', {"max_words": 2, "field": "s"}, False),
        ('{"s": 2}', {"max_words": 2, "field": "s"}, False),
        ("", {"max_words": 0}, True),
    ],
)
def test_an_answer_is_neither_too_short_nor_too_long(
    judged: Judged, answer: str, settings: dict[str, Any], passed: bool
) -> None:
    assert judged("length", settings, answer).passed is passed


def test_a_reason_says_how_far_off_it_is(judged: Judged) -> None:
    assert judged("length", {"max_words": 2}, "a b c").reason == "3 words, more than 2"
