"""Rows of one split as parquet shards in hub layout."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

GROUP_ROWS = 10_000
GROUP_BYTES = 32 << 20
"""Of Arrow's columns: rows with logprobs are large, and writing a group takes four times its size."""
SHARD_ROWS = 200_000


class SplitWriter:
    """Writes one split's rows as parquet shards; their number is known, and put into the names, at the end."""

    def __init__(self, folder: Path, split: str, schema: pa.Schema) -> None:
        """A writer of `folder/split-*.parquet`."""
        self._folder, self._split, self._schema = folder, split, schema
        self._shards: list[Path] = []
        self._writer: pq.ParquetWriter | None = None
        self._in_shard = 0
        self._group: list[pa.RecordBatch] = []
        self._group_rows = self._group_bytes = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take some rows."""
        self._group.append(batch)
        self._group_rows += batch.num_rows
        self._group_bytes += batch.nbytes
        if self._group_rows >= GROUP_ROWS or self._group_bytes >= GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._group:
            return
        if self._writer is None:
            self._shards.append(self._folder / f"{self._split}-{len(self._shards):05d}")
            self._writer = pq.ParquetWriter(self._shards[-1], self._schema, compression="zstd")
            self._in_shard = 0
        self._writer.write_table(pa.Table.from_batches(self._group, schema=self._schema))
        self._in_shard += self._group_rows
        self._group.clear()
        self._group_rows = self._group_bytes = 0
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
