"""Row filters over batches of candidates: in this process, or handed to an executor of more."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import pyarrow as pa

from harvester.curating.base import RowFilter
from harvester.curating.spool import candidates_in
from harvester.store.curations import Dropped

Found = list[Dropped]
Executor = Callable[[Sequence[RowFilter], Iterable[pa.RecordBatch]], Iterator[Found]]
"""Filters and batches → what the filters found in each batch, in the order of the batches."""


def in_batch(filters: Sequence[RowFilter], batch: pa.RecordBatch) -> Found:
    """The first filter's word against each row of a batch that one of them speaks against."""
    found = []
    for candidate in candidates_in(batch):
        for one in filters:
            if drop := one.look(candidate.example):
                found.append(Dropped(candidate.example.id, one.name, drop.reason, drop.detail))
                break
    return found


def here(filters: Sequence[RowFilter], batches: Iterable[pa.RecordBatch]) -> Iterator[Found]:
    """The executor of one process."""
    for batch in batches:
        yield in_batch(filters, batch)
