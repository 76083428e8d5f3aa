"""citations: what is quoted stands in the source."""

from collections.abc import Callable
from typing import Any

import pytest

from harvester.records import Check

Judged = Callable[..., Check]
SOURCE = "The council met on Monday.\nIt \u201cdid not agree\u201d on the budget \u2014 a first in ten years, the mayor\u2019s office said."
SEED = {"text": SOURCE}


@pytest.mark.parametrize(
    ("answer", "passed"),
    [
        ("The text says \u201cThe council met on Monday.\u201d", True),
        ('It says "council met on Monday", no more.', True),
        ("Sie schreibt: \u201eThe council met on Monday\u201c", True),
        ("Il dit \u00abthe mayor's office said\u00bb", True),
        ("\u300cThe council met on Monday\u300d", True),
        ('"on the budget - a first in ten years,"', True),
        ("\"Monday. It 'did not agree' on the budget\"", False),  # single marks are another thing
        ('"The council met on Tuesday"', False),
        ('"The council met on Monday" and "nobody was there at all"', False),
        ('"council met on Mon"', False),  # cut inside a word
        ('"the council met on Monday"', True),  # begun in the middle of a sentence
        ('"Council met on Monday"', True),
        ('"The council met on monday"', False),  # but for the first letter, case is kept
        ('The "budget" failed', False),  # too short for a quotation, so there is none
        ('The "budget" failed: "The council met on Monday."', True),
        ("The council met on Monday", False),
        ("", False),
        ('5" pipes\nand "The council met on Monday"', True),
    ],
)
def test_every_quotation_in_marks_stands_in_the_source(judged: Judged, answer: str, passed: bool) -> None:
    check = judged("citations", {"source": "text"}, answer, SEED)
    assert check.passed is passed, check.reason


@pytest.mark.parametrize(
    ("answer", "settings", "passed"),
    [
        ('{"q": ["met on Monday", "a first"]}', {}, True),
        ('{"q": "met on Monday"}', {}, True),
        ('{"q": ["met on Monday", "met on Tuesday"]}', {}, False),
        ('{"q": []}', {}, False),
        ('{"q": []}', {"min": 0}, True),
        ('{"q": ["met on Monday"]}', {"min": 2}, False),
        ('{"q": [""]}', {}, False),
        ('{"q": [7]}', {}, False),
        ('{"p": []}', {"min": 0}, False),
        ("met on Monday", {}, False),
    ],
)
def test_a_field_lists_the_quotations(judged: Judged, answer: str, settings: dict[str, Any], passed: bool) -> None:
    assert judged("citations", {"source": "text", "field": "q", **settings}, answer, SEED).passed is passed


def test_how_long_a_quotation_is_can_be_said(judged: Judged) -> None:
    assert judged("citations", {"source": "text", "min_words": 1}, 'The "budget".', SEED).passed
    assert not judged("citations", {"source": "text", "min_words": 1}, 'The "bridge".', SEED).passed


@pytest.mark.parametrize(
    ("answer", "passed"),
    [
        ("\u201cThe council met \u2026 on the budget\u201d", True),
        ('"The council met ... a first in ten years"', True),
        ('"The council met [...] the budget \u2014 a first (\u2026) mayor\'s office said."', True),
        ('"The council met . . . on the budget"', True),
        ('"... council met on Monday ..."', True),
        ('"on the budget ... The council met"', False),  # not in this order
        ('"The council met ... council met on"', False),  # the second begins before the first ends
        ('"The council met ... on the bridge"', False),
        ('"The ... office said"', False),
        ('"The council ... the budget"', False),  # two words stand anywhere
        ('"The council met ... budget"', False),
        ('"council met on Mon ... on the budget"', False),
        ('"the council met ... on the budget"', True),
        ('"The council met ... On the budget"', False),
    ],
)
def test_a_shortened_quotation_stands_in_the_source_part_by_part(judged: Judged, answer: str, passed: bool) -> None:
    check = judged("citations", {"source": "text"}, answer, SEED)
    assert check.passed is passed, check.reason


def test_dots_that_stand_in_the_source_are_no_ellipsis(judged: Judged) -> None:
    seed = {"text": "He said: well... no, and left."}
    assert judged("citations", {"source": "text"}, 'It has "said: well... no".', seed).passed


@pytest.mark.parametrize(("answer", "passed"), [("「国之大事…死生之地」", True), ("「兵者…死生之地」", False)])
def test_a_character_of_chinese_is_a_word(judged: Judged, answer: str, passed: bool) -> None:
    seed = {"text": "兵者国之大事。死生之地"}
    assert judged("citations", {"source": "text"}, answer, seed).passed is passed


def test_a_part_that_is_too_short_is_named(judged: Judged) -> None:
    reason = str(judged("citations", {"source": "text"}, '"The council met ... budget"', SEED).reason)
    assert '"budget" is too short beside an ellipsis; 3 words are needed' in reason


def test_a_seed_without_the_source_fails(judged: Judged) -> None:
    assert "no text field" in str(judged("citations", {"source": "text", "min": 0}, "x", {}).reason)
