"""Row filters over a spool of candidates: in this process, or by an executor of more."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa

from harvester.curating.base import Example, RowFilter
from harvester.curating.spool import batches, candidates_in
from harvester.errors import BadInput, how_to_install
from harvester.exporting.deciding import HARMFUL
from harvester.store.curations import Dropped

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
    """One filter's word against each row of a batch that any of them speaks against.

    HARMFUL ones look at rejected answers, too: an unfiltered export writes those, and must not hold what these find.
    """
    harmful = [one for one in filters if one.name in HARMFUL]
    words = (_word(filters if one.kept else harmful, one.example) for one in candidates_in(batch))
    return [word for word in words if word]


def _word(filters: Sequence[RowFilter], example: Example) -> Dropped | None:
    """The first word against a row; one of HARMFUL goes before others, as it alone bars a row from every export."""
    first = None
    for one in filters:
        if (first is None or one.name in HARMFUL) and (drop := one.look(example)):
            word = Dropped(example.id, one.name, drop.reason, drop.detail)
            if one.name in HARMFUL:
                return word
            first = word
    return first
