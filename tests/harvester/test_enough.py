"""`--accept` over HTTP: where a run stops, and what it asks all the same."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from harvester.collecting import Options, Progress, collect
from harvester.errors import StoppedEarly
from harvester.recipe import Recipe
from harvester.status import status

from provider import last_line  # isort: skip - a helper beside the tests

TRAIN, HELD_OUT, PERMITS = 300, 5, 4


@pytest.fixture
def many(folder: Any) -> Any:
    """More seeds than are wanted, and some that are held out."""
    folder.write("answer.j2", "{{ text }}")
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(TRAIN)])
    folder.seeds("test.jsonl", [f"held out {number}" for number in range(HELD_OUT)])
    folder.data["heldout"] = {"path": "test.jsonl"}
    folder.save()
    return folder


@pytest.fixture
def two_steps(many: Any) -> Any:
    many.write("final.j2", "{{ text }}")
    many.data["steps"].append({"name": "final", "prompt": "final.j2"})
    many.save()
    return many


def run(folder: Any, **options: Any) -> Progress:
    return asyncio.run(collect(Recipe.load(folder.path), None, Options(**options)))


def asked(provider: Any) -> Counter[str]:
    return Counter(last_line(body).rsplit(maxsplit=1)[0] for body in provider.asked)


def accepted(folder: Any) -> dict[str, int]:
    return {name: split["accepted"] for name, split in status(Recipe.load(folder.path))["splits"].items()}


def test_answers_that_come_faster_than_they_are_judged_are_not_asked_for_in_vain(many: Any, provider: Any) -> None:
    run(many, accept=20)
    assert 20 <= asked(provider)["seed"] <= 20 + PERMITS


def test_few_missing_rows_are_asked_for_side_by_side(many: Any, provider: Any) -> None:
    del many.data["heldout"]
    many.save()
    provider.together = PERMITS
    run(many, accept=1)
    assert provider.most_in_flight == PERMITS


def test_what_is_held_out_is_asked_once_there_are_rows_enough(many: Any, provider: Any) -> None:
    run(many, accept=20)
    assert asked(provider)["held out"] == accepted(many)["test"] == HELD_OUT
    before = len(provider.asked)
    run(many, accept=20)
    assert len(provider.asked) == before


def test_every_step_of_what_is_held_out_is_asked_and_no_further_one_of_train(two_steps: Any, provider: Any) -> None:
    run(two_steps, accept=20)
    steps = status(Recipe.load(two_steps.path))["steps"]
    assert accepted(two_steps)["test"] == 2 * HELD_OUT
    assert 20 <= steps["final"]["accepted"] <= 20 + PERMITS


def test_held_out_seeds_that_are_added_later_are_asked_alone(many: Any, provider: Any) -> None:
    run(many, accept=20)
    provider.asked.clear()
    many.seeds("test.jsonl", [f"held out {number}" for number in range(2 * HELD_OUT)])
    progress = run(many, accept=20)
    assert asked(provider) == {"held out": HELD_OUT}
    assert progress.to_ask == HELD_OUT


def test_a_limit_counts_what_is_held_out_too(many: Any, provider: Any) -> None:
    run(many, accept=20, limit=10)
    assert asked(provider) == {"seed": 10}
    provider.asked.clear()
    run(many, accept=5, limit=2)
    assert asked(provider) == {"held out": 2}


def test_a_budget_bounds_what_is_held_out_too(many: Any, provider: Any) -> None:
    run(many, limit=5)
    provider.asked.clear()
    many.data["teacher"]["price"] = {"input": 0, "output": 1_000_000}
    many.save()
    with pytest.raises(StoppedEarly):
        run(many, accept=5, budget_usd=1)
    assert len(provider.asked) < HELD_OUT
