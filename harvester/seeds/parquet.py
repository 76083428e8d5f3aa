"""Parquet files, a few hundred rows at a time."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from harvester.errors import BadInput
from harvester.seeds.arrow_values import Values
from harvester.seeds.finding import Source
from harvester.seeds_spec import Seeds

BATCH_ROWS = 256
BUFFER_BYTES = 1 << 20
"""Read so much of a column at once. By default it is a row group's whole column, which may be the whole file."""


def rows(source: Source, _: Seeds) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row, fields) of every row.

    Raises:
        BadInput: not a parquet file, or a column or value that JSON cannot hold.
    """
    number = 1
    try:
        with parquet.ParquetFile(source.path, buffer_size=BUFFER_BYTES, pre_buffer=False) as file:
            values = Values(file.schema_arrow, str(source))
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                for row in values.rows(batch, number):
                    yield number, row
                    number += 1
    except (pa.ArrowException, OSError) as error:
        said = str(error).splitlines()[0]
        raise BadInput(f"{source}: row {number} or after it: not parquet: {said}; write it anew") from None
