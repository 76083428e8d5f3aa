"""A Batch API over HTTP."""

from collections.abc import Iterator

import pytest

from batch_provider import BatchProvider, serving_batches  # isort: skip - a helper beside the tests


@pytest.fixture
def batches() -> Iterator[BatchProvider]:
    with serving_batches(BatchProvider()) as running:
        yield running
