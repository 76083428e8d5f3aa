"""exact_duplicates: equal prompts with equal answers; the best one stays."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.curating.base import Example
from harvester.curating.exact_duplicates import ExactDuplicates

sys.path.insert(0, str(Path(__file__).parent))
from corpora import ids, left, row, run  # isort: skip - a helper beside the tests

EXACT = ExactDuplicates()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("Name it.", "Paris"), ("name  it.\n", "PARIS")),
        (("Café", "ﬁne"), ("Cafe\u0301", "fine")),
        (("Straße", ""), ("STRASSE", "")),
    ],
)
def test_case_space_and_compatible_characters_make_no_difference(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert run(EXACT, [row(1, *one), row(2, *other)]) == {"r2": {"of": "r1"}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("2 + 2", "4"), ("2 - 2", "4")),
        (("Name it.", "Paris"), ("Name it.", "Paris!")),
        (("ab", "c"), ("a", "bc")),
        (("a b", "c"), ("a", "b c")),
    ],
)
def test_other_texts_are_no_duplicates(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert run(EXACT, [row(1, *one), row(2, *other)]) == {}


def test_the_best_scored_row_stays_and_an_unscored_one_does_not() -> None:
    rows = [row(1, "p", "a"), row(2, "p", "a", score=3.0), row(3, "p", "a", score=5.0), row(4, "p", "a", score=5.0)]
    assert run(EXACT, rows) == {name: {"of": "r3"} for name in ("r1", "r2", "r4")}


def test_half_a_surrogate_pair_is_compared_like_anything_else() -> None:
    assert list(run(EXACT, [row(1, "\ud800", "a"), row(2, "\ud800", "a"), row(3, "\ud801", "a")])) == ["r2"]


def test_no_rows() -> None:
    assert EXACT.drops([]) == {}


texts = st.sampled_from(["a", "A", "b", "a ", ""])
rows = st.lists(st.tuples(texts, texts, st.sampled_from([None, -1.0, 1.0, 2.0])), max_size=12).map(
    lambda made: [row(number, prompt, answer, score=score) for number, (prompt, answer, score) in enumerate(made)]
)


@given(rows)
def test_one_of_each_stays_the_best(made: list[Example]) -> None:
    def key(one: Example) -> tuple[str, str]:
        return one.prompt.strip().casefold(), one.answer.strip().casefold()

    kept = left(EXACT, made)
    best: dict[tuple[str, str], Example] = {}
    for one in made:
        if key(one) not in best or (one.score or float("-inf")) > (best[key(one)].score or float("-inf")):
            best[key(one)] = one
    assert sorted(ids(kept)) == sorted(ids(best.values()))
    assert run(EXACT, kept) == {}
    names = {one.row_id: one for one in kept}
    assert all(detail["of"] in names for detail in run(EXACT, made).values())
