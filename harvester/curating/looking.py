"""Row filters over a spool of candidates: in this process, or by an executor of more."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa

from harvester.curating.base import RowFilter
from harvester.curating.spool import batches, candidates_in
from harvester.errors import BadInput, how_to_install
from harvester.store.curations import Dropped

HARMFUL = frozenset({"secrets", "personal_data", "decontaminate"})
"""Filters that also look at rejected answers: an unfiltered export writes those, and must not hold what these find."""
Found = list[Dropped]
Executor = Callable[[Sequence[RowFilter], Path], Iterator[Found]]
"""Filters and a finished spool → what the filters found, a list for each batch that they found something in, in the
order of the spool."""


def executor(name: Literal["local", "ray"]) -> Executor:
    """The executor of a name.

    Raises:
        BadInput: Ray is not installed.
    """
    if name == "local":
        return here
    try:
        from harvester.curating.ray_stage import on_a_cluster  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        raise BadInput(f"--executor ray: needs the library `ray`; {how_to_install('ray')}") from None
    return on_a_cluster


def here(filters: Sequence[RowFilter], spool: Path) -> Iterator[Found]:
    """The executor of one process."""
    for batch in batches(spool):
        if found := in_batch(filters, batch):
            yield found


def in_batch(filters: Sequence[RowFilter], batch: pa.RecordBatch) -> Found:
    """The first filter's word against each row of a batch that one of them speaks against, as `HARMFUL` lets it."""
    found = []
    harmful = [one for one in filters if one.name in HARMFUL]
    for candidate in candidates_in(batch):
        for one in filters if candidate.kept else harmful:
            if drop := one.look(candidate.example):
                found.append(Dropped(candidate.example.id, one.name, drop.reason, drop.detail))
                break
    return found
