"""Rows of one split as parquet shards in hub layout."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

BATCH_ROWS = 1000
SHARD_ROWS = 200_000


class SplitWriter:
    """Writes one split's rows as parquet shards; their number is known, and put into the names, at the end."""

    def __init__(self, folder: Path, split: str, schema: pa.Schema) -> None:
        """A writer of `folder/split-*.parquet`."""
        self._folder, self._split, self._schema = folder, split, schema
        self._shards: list[Path] = []
        self._writer: pq.ParquetWriter | None = None
        self._in_shard = 0
        self._batch: list[dict[str, Any]] = []

    def add(self, values: dict[str, Any]) -> None:
        """Take a row's values, by column name."""
        self._batch.append(values)
        if len(self._batch) == BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._batch:
            return
        if self._writer is None:
            self._shards.append(self._folder / f"{self._split}-{len(self._shards):05d}")
            self._writer = pq.ParquetWriter(self._shards[-1], self._schema, compression="zstd")
            self._in_shard = 0
        self._writer.write_table(pa.Table.from_pylist(self._batch, schema=self._schema))
        self._in_shard += len(self._batch)
        self._batch.clear()
        if self._in_shard >= SHARD_ROWS:
            self._writer.close()
            self._writer = None

    def close(self) -> None:
        """Write what is left, and give the shards their names."""
        self._flush()
        if self._writer:
            self._writer.close()
        for number, shard in enumerate(self._shards):
            shard.rename(self._folder / f"{self._split}-{number:05d}-of-{len(self._shards):05d}.parquet")
