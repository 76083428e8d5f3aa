"""Rows' values → one Arrow batch, column by column."""

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

import pyarrow as pa


class Batch:
    """Rows of one schema on their way into Arrow."""

    def __init__(self, schema: pa.Schema) -> None:
        """No rows yet."""
        self._schema = schema
        self._in_order = itemgetter(*schema.names)
        self._rows: list[tuple[Any, ...]] = []

    def add(self, values: Mapping[str, Any]) -> None:
        """Take a row, which has a value for every column; the mapping is not kept."""
        self._rows.append(self._in_order(values))

    def made(self) -> pa.RecordBatch:
        """All rows, in their order."""
        columns = zip(*self._rows, strict=True)
        arrays = [pa.array(values, field.type) for values, field in zip(columns, self._schema, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)
