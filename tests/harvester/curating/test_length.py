"""length: by the reply's own count, or by bytes where it gave none."""

import pytest

from harvester.curating.base import Drop, Example
from harvester.curating.length import Length
from harvester.recipe.curation import Lengths


def row(answer: str, tokens: int | None) -> Example:
    return Example(1, "row", "train", "seed", {}, "A question?", answer, completion_tokens=tokens)


@pytest.mark.parametrize(
    ("answer", "tokens", "expected"),
    [
        ("x", 5, None),
        ("x", 10, None),
        ("x", 4, Drop("too_short", {"tokens": 4, "min_tokens": 5})),
        ("x" * 4000, 11, Drop("too_long", {"tokens": 11, "max_tokens": 10})),
        ("x" * 17, None, None),
        ("x" * 16, None, Drop("too_short", {"tokens": 4, "min_tokens": 5})),
        ("", None, Drop("too_short", {"tokens": 0, "min_tokens": 5})),
        ("水" * 14, None, Drop("too_long", {"tokens": 11, "max_tokens": 10})),
        ("\ud800" * 20, None, None),
    ],
)
def test_an_answer_out_of_bounds_goes(answer: str, tokens: int | None, expected: Drop | None) -> None:
    assert Length(Lengths(min_tokens=5, max_tokens=10)).look(row(answer, tokens)) == expected


def test_one_bound_is_enough() -> None:
    assert Length(Lengths(max_tokens=10)).look(row("x", 1)) is None
    assert Length(Lengths(min_tokens=5)).look(row("x", 1_000)) is None
