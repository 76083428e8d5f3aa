"""A Batch API over HTTP, and a recipe whose teacher it is."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harvester.batching.collecting import Result, collect_in_batches
from harvester.modes import Mode
from harvester.progress import Options
from harvester.recipe import Recipe

from batch_provider import BatchProvider, serving_batches  # isort: skip - a helper beside the tests


@pytest.fixture
def batches() -> Iterator[BatchProvider]:
    with serving_batches(BatchProvider()) as running:
        yield running


@pytest.fixture
def batch_folder(folder: Any, batches: BatchProvider) -> Any:
    """A recipe of ten seeds; a request costs at most some 0.1 USD, an answer 0.0075, half of the usual price."""
    folder.data["teacher"] |= {
        "base_url": batches.url,
        "provider": "openai",
        "price": {"input": 1000, "output": 1000},
    }
    folder.save()
    return folder


@pytest.fixture
def collect(batch_folder: Any) -> Callable[..., Result]:
    """Collect in batches, without the pauses."""

    async def sleep(_: float) -> None:
        await asyncio.sleep(0)

    def run(*, wait: bool = True, mode: Mode | None = "batch", **options: Any) -> Result:
        recipe = Recipe.load(batch_folder.path)
        return asyncio.run(collect_in_batches(recipe, None, Options(**options), mode=mode, wait=wait, sleep=sleep))

    return run


@pytest.fixture
def stored(batch_folder: Any) -> Callable[[str], list[Any]]:
    """What a query finds in the store."""

    def ask(query: str) -> list[Any]:
        with closing(sqlite3.connect(batch_folder.path / "harvest.db")) as connection:
            return connection.execute(query).fetchall()

    return ask


@pytest.fixture
def age(batch_folder: Any, batches: BatchProvider) -> Callable[[float], None]:
    """Make every batch so many hours old, by the provider's clock and by ours."""

    def back(hours: float) -> None:
        for made in batches.batches:
            made.created_at -= int(3600 * hours)
        then = (datetime.now(UTC) - timedelta(hours=hours)).isoformat(timespec="microseconds")
        with closing(sqlite3.connect(batch_folder.path / "harvest.db")) as connection, connection:
            connection.execute("UPDATE batches SET created_at = ?", (then,))

    return back
