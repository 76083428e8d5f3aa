"""Running totals of money: in the same commit as what they count, and equal to what the rows add up to."""

import sqlite3
from pathlib import Path

import pytest

from harvester.store import StoreReader, StoreWriter
from harvester.store.events import Lost, Reported

from toy_store import add_plan, begin, replied  # isort: skip - a helper beside the tests


def totals(path: Path) -> list[tuple[int, str, int, int]]:
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT * FROM spending ORDER BY run_id, teacher").fetchall()
    connection.close()
    return found


def test_money_is_counted_by_run_and_by_teacher(path: Path) -> None:
    with StoreWriter.open(path) as store:
        plan = add_plan(store, 5)
        first = begin(store, plan)
        store.apply([replied(store, first, 1, cost_nusd=5), replied(store, first, 2, cost_nusd=7), Lost(first, 100)])
        store.apply([replied(store, first, 3, cost_nusd=11, teacher="judge"), Lost(first, 200, "judge")])
        second = begin(store, plan)
        store.apply([replied(store, second, 4, cost_nusd=13)])
        assert store.spent_nusd() == 5 + 7 + 100 + 11 + 200 + 13
        assert store.spent_nusd(teacher="judge") == 211
        assert store.spent_nusd(teacher="nobody") == 0
        assert store.spent_nusd(run_id=first) == 323
        assert store.spent_nusd(run_id=first, teacher="teacher") == 112
        with StoreReader.open(path) as reader:
            assert reader.counts(plan).spent_nusd == store.spent_nusd()
    assert totals(path) == [(1, "judge", 11, 200), (1, "teacher", 12, 100), (2, "teacher", 13, 0)]


def test_an_answer_that_comes_second_was_paid_for_and_is_counted_once_as_lost(path: Path) -> None:
    with StoreWriter.open(path) as store:
        run = begin(store, add_plan(store))
        twice = [replied(store, run, 1, cost_nusd=5), replied(store, run, 1, cost_nusd=70)]
        store.apply([*twice, replied(store, run, 2, cost_nusd=11)])
        store.apply([replied(store, run, 2, cost_nusd=900)])
    assert totals(path) == [(1, "teacher", 16, 970)]


def test_totals_and_replies_are_one_commit(path: Path) -> None:
    with StoreWriter.open(path) as store:
        run = begin(store, add_plan(store))
        with pytest.raises(TypeError):
            store.apply([replied(store, run, 1), Reported(run, object())])
        assert store.spent_nusd() == 0
        assert store.count_pending(1) == 3


def test_replies_of_another_model_are_counted_by_its_name(path: Path) -> None:
    with StoreWriter.open(path) as store:
        plan = add_plan(store, 4)
        run = begin(store, plan)
        other = [replied(store, run, number, other_model="toy-2") for number in (1, 2)]
        store.apply([*other, replied(store, run, 3, other_model="toy-3"), replied(store, run, 4)])
        of_another = add_plan(store, 1, recipe="another")
        with StoreReader.open(path) as reader:
            assert reader.counts(plan).other_models == {"toy-2": 2, "toy-3": 1}
            assert reader.counts(of_another).other_models == {"toy-2": 1}
