"""A Batch API over HTTP, and a recipe whose teacher it is."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from harvester.batching.collecting import Result, collect_in_batches
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

    def run(*, wait: bool = True, **options: Any) -> Result:
        recipe = Recipe.load(batch_folder.path)
        return asyncio.run(collect_in_batches(recipe, None, Options(**options), wait=wait, sleep=sleep))

    return run


@pytest.fixture
def stored(batch_folder: Any) -> Callable[[str], list[Any]]:
    """What a query finds in the store."""

    def ask(query: str) -> list[Any]:
        with closing(sqlite3.connect(batch_folder.path / "harvest.db")) as connection:
            return connection.execute(query).fetchall()

    return ask
