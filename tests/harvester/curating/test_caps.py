"""per_source and balance: how many rows of a kind stay, and which."""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.curating.balance import Balance
from harvester.curating.base import Example
from harvester.curating.per_source import PerSource
from harvester.errors import BadInput
from harvester.recipe import curation

sys.path.insert(0, str(Path(__file__).parent))
from corpora import ids, left, prose, row, run  # isort: skip - a helper beside the tests


def per_source(most: int, field: str = "source") -> PerSource:
    return PerSource(curation.PerSource(field=field, most=most))


def balance(field: str = "label", at_most: float = 2.0) -> Balance:
    return Balance(curation.Balance(field=field, at_most=at_most))


def from_source(number: int, source: Any, **fields: Any) -> Example:
    return row(number, seed={"source": source}, **fields)


def test_the_best_rows_of_a_source_stay_of_equals_the_first() -> None:
    rows = [from_source(n, "a", score=score) for n, score in enumerate([1.0, 3.0, None, 3.0, 2.0])]
    assert ids(left(per_source(2), rows)) == ["r1", "r3"]
    assert ids(left(per_source(3), rows)) == ["r1", "r3", "r4"]
    assert run(per_source(4), rows) == {"r2": {"source": "a", "most": 4}}


def test_sources_may_be_of_any_type_and_rows_without_one_are_left() -> None:
    sources = [7, 7, 7.5, True, None, None, ["x"], ["x"]]
    rows = [from_source(n, source) for n, source in enumerate(sources)] + [row(8), row(9)]
    assert run(per_source(1), rows) == {"r1": {"source": "7", "most": 1}, "r7": {"source": '["x"]', "most": 1}}


def test_each_split_is_capped_by_itself() -> None:
    rows = [from_source(n, "a", split="train" if n < 3 else "dev") for n in range(6)]
    assert ids(left(per_source(2), rows)) == ["r0", "r1", "r3", "r4"]


def test_a_field_that_no_seed_has_is_refused_with_those_there_are() -> None:
    rows = [row(1, seed={"text": "t", "topic": "x"})]
    for corpus_filter in (per_source(1, "sorce"), balance("sorce")):
        with pytest.raises(BadInput, match=r"field: no row's seed has the field 'sorce'; they have: text, topic$"):
            corpus_filter.drops(rows)


def test_no_rows_are_capped_without_complaint() -> None:
    assert per_source(1).drops([]) == balance().drops([]) == {}


def labelled(counts: dict[str, int], **fields: Any) -> list[Example]:
    labels = [label for label, count in counts.items() for _ in range(count)]
    return [row(n, answer=label, seed={"label": label}, **fields) for n, label in enumerate(labels)]


def test_no_class_has_more_than_so_many_times_the_smallest() -> None:
    rows = labelled({"a": 10, "b": 3, "c": 5})
    assert Counter(one.answer for one in left(balance(), rows)) == {"a": 6, "b": 3, "c": 5}
    assert Counter(one.answer for one in left(balance(at_most=1.5), rows)) == {"a": 4, "b": 3, "c": 4}
    assert set(map(str, run(balance(), rows).values())) == {"{'class': 'a', 'most': 6}"}


def test_a_cap_is_exact() -> None:
    rows = labelled({"a": 240, "b": 100})
    assert Counter(one.answer for one in left(balance(at_most=2.3), rows)) == {"a": 230, "b": 100}


def test_a_source_is_a_field_of_the_seed_whatever_its_name() -> None:
    rows = [row(n, answer=str(n), seed={"answer": "same"}) for n in range(3)]
    assert ids(left(per_source(1, "answer"), rows)) == ["r0"]
    with pytest.raises(BadInput, match=r"no row's seed has the field 'answer'; they have: text"):
        per_source(1, "answer").drops([row(1, seed={"text": "t"})])


def test_answers_as_classes_are_compared_without_case_and_space() -> None:
    rows = [row(n, answer=answer) for n, answer in enumerate(["Yes", "yes ", "YES", "no"])]
    assert run(balance("answer", 1), rows) == {name: {"class": "yes", "most": 1} for name in ("r1", "r2")}


def test_each_split_is_balanced_by_itself() -> None:
    rows = labelled({"a": 4, "b": 2}) + [
        row(n, seed={"label": label}, split="dev") for n, label in [(7, "a"), (8, "b")]
    ]
    assert ids(left(balance(at_most=1), rows)) == ["r0", "r1", "r4", "r5", "r7", "r8"]


def test_texts_are_no_classes() -> None:
    texts = [row(n, answer=prose(n, 6), seed={"text": prose(n, 60)}) for n in range(20)]
    with pytest.raises(
        BadInput, match=r"curate.balance.field: 'answer' names no classes \(20 different values among 20"
    ):
        balance("answer").drops(texts)
    with pytest.raises(BadInput, match=r"'text' names no classes \(one of its values has \d+ characters\)"):
        balance("text").drops(texts)


def test_a_few_classes_may_have_a_single_row_each() -> None:
    assert run(balance(), labelled({str(n): 1 for n in range(12)})) == {}


def test_many_classes_are_fine_where_each_has_rows() -> None:
    assert run(balance(), labelled({str(n): 2 for n in range(150)})) == {}


some_rows = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([None, 1.0, 2.0]), st.sampled_from(["train", "dev"])), max_size=25
).map(
    lambda made: [
        row(n, seed={"label": label, "source": label}, score=score, split=split)
        for n, (label, score, split) in enumerate(made)
    ]
)


@given(some_rows, st.integers(1, 5), st.sampled_from([1, 1.5, 2]))
def test_a_second_run_drops_nothing_and_no_better_row_is_dropped(rows: list[Example], most: int, times: float) -> None:
    for corpus_filter in (per_source(most), balance(at_most=times)):
        kept = left(corpus_filter, rows)
        assert run(corpus_filter, kept) == {}
        for one in rows:
            same = [other for other in kept if other.split == one.split and other.seed == one.seed]
            assert same
            assert one in kept or min(other.score or 0 for other in same) >= (one.score or 0)


@given(some_rows, st.randoms(use_true_random=False))
def test_how_many_stay_does_not_depend_on_the_order(rows: list[Example], chance: Any) -> None:
    shuffled = list(rows)
    chance.shuffle(shuffled)
    for corpus_filter in (per_source(2), balance()):
        assert len(left(corpus_filter, rows)) == len(left(corpus_filter, shuffled))
