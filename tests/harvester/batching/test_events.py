"""Batches as events of `collect --log-json`."""

from collections.abc import Callable, Mapping
from typing import Any

from harvester.batching.collecting import Result

from batch_provider import BatchProvider  # isort: skip - a helper beside the tests


def test_a_batch_that_is_sent_and_ends_is_told(collect: Callable[..., Result], batches: BatchProvider) -> None:
    told: list[tuple[str, Mapping[str, Any]]] = []
    collect(log=lambda event, fields: told.append((event, fields)))
    events = dict(told)
    assert events["batch_submitted"]["requests"] == 10
    assert events["batch_submitted"]["batch"] == events["batch_ended"]["batch"]
    ended = events["batch_ended"]
    assert (ended["teacher"], ended["status"], ended["answered"], ended["missing"]) == ("teacher", "completed", 10, 0)
