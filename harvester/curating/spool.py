"""Candidates in a file of their own, so that filters can go through them again and again at no cost of memory."""

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from harvester.curating.base import Example
from harvester.curating.examples import Candidate
from harvester.records import canonical

BATCH = 1000
SAMPLED_BATCHES = 20
AS_JSON = ("seed", "reference")
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        *((name, pa.string()) for name in ("row_id", "split", "seed_id", "seed", "reference")),
        *((name, pa.string()) for name in ("prompt", "answer", "reasoning")),
        ("score", pa.float64()),
        ("finish_reason", pa.string()),
        ("completion_tokens", pa.int64()),
        ("kept", pa.bool_()),
        ("protected", pa.bool_()),
    ]
)


class Spool:
    """A file of candidates, written once, from the first to the last."""

    def __init__(self, path: Path) -> None:
        """Begin the file."""
        self._writer = pa.ipc.new_file(str(path), SCHEMA, options=pa.ipc.IpcWriteOptions(compression="zstd"))
        self._batch: list[dict[str, Any]] = []

    def add(self, candidate: Candidate) -> None:
        """Take a candidate."""
        example = candidate.example
        values = asdict(example) | {name: canonical(getattr(example, name)).decode() for name in AS_JSON}
        self._batch.append({**values, "kept": candidate.kept, "protected": candidate.protected})
        if len(self._batch) == BATCH:
            self._flush()

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write_batch(pa.RecordBatch.from_pylist(self._batch, schema=SCHEMA))
        self._batch.clear()


def how_many_batches(path: Path) -> int:
    """Of a finished spool; one at least."""
    with pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as reader:
        return int(reader.num_record_batches)


def batches(path: Path, first: int = 0, last: int | None = None) -> Iterator[pa.RecordBatch]:
    """A finished spool, batch by batch; from number `first` on, and without number `last`."""
    with pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as reader:
        for number in range(reader.num_record_batches)[first:last]:
            yield reader.get_batch(number)


def candidates_in(batch: pa.RecordBatch) -> Iterator[Candidate]:
    """The candidates of a batch."""
    for values in batch.to_pylist():
        kept, protected = values.pop("kept"), values.pop("protected")
        read = {name: json.loads(values[name]) for name in AS_JSON}
        yield Candidate(Example(**(values | read)), kept, protected)


def light(path: Path) -> Iterator[tuple[int, str, bool, bool]]:
    """(id, split, kept, protected) of every candidate; no text is read."""
    for batch in batches(path):
        columns = [batch.column(name).to_pylist() for name in ("id", "split", "kept", "protected")]
        yield from zip(*columns, strict=True)


def sample(path: Path) -> Iterator[Example]:
    """Examples from all over a spool: all of a small one, of a large one some 20,000."""
    many = how_many_batches(path)
    for number in range(0, many, -(-many // SAMPLED_BATCHES)):
        for batch in batches(path, number, number + 1):
            yield from (candidate.example for candidate in candidates_in(batch))


class Left:
    """The examples of a spool that would be written as things stand; to be gone through as often as one likes."""

    def __init__(self, path: Path, out: Collection[int]) -> None:
        """Of the spool at `path`, without the ids that are out."""
        self._path, self._out = path, out

    def __iter__(self) -> Iterator[Example]:
        """From the beginning, in the order of the dataset."""
        for batch in batches(self._path):
            for candidate in candidates_in(batch):
                if candidate.kept and candidate.example.id not in self._out:
                    yield candidate.example
