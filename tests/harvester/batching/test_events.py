"""Batches as events of `collect --log-json`."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from harvester.batching.collecting import Result
from harvester.recipe import Recipe
from harvester.watching import look

from batch_provider import BatchProvider  # isort: skip - a helper beside the tests


def test_a_batch_that_is_sent_and_ends_is_told(collect: Callable[..., Result], batches: BatchProvider) -> None:
    told: list[tuple[str, Mapping[str, Any]]] = []
    collect(log=lambda event, fields: told.append((event, fields)))
    events = dict(told)
    began = events["run_started"]
    assert (told[0][0], began["recipe"], began["teachers"], began["to_ask"]) == ("run_started", "toy", ["teacher"], 10)
    assert events["batch_submitted"]["requests"] == 10
    assert events["batch_submitted"]["batch"] == events["batch_ended"]["batch"]
    ended = events["batch_ended"]
    assert (ended["teacher"], ended["status"], ended["answered"], ended["missing"]) == ("teacher", "completed", 10, 0)


def test_what_waits_is_seen_from_outside_and_held(collect: Callable[..., Result], batch_folder: Any) -> None:
    progress = collect(wait=False, limit=6).progress
    found = look(Recipe.load(batch_folder.path))
    (batch,) = found["batches"]
    assert (batch["teacher"], batch["requests"], found["usd"]) == ("teacher", 6, 0.0)
    assert 0 < progress.reserved_usd == pytest.approx(batch["worst_usd"])
