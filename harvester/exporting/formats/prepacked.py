"""Rows of one length with a distribution at every place, as `datasets.load_from_disk` reads them.

The longest row says how long all are, so rows wait in a file until the last has come.
"""

import hashlib
import json
import marshal
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harvester.exporting.formats.records import Record
from harvester.exporting.formats.soft_labels import filled

IGNORED = -100
"""The label of a place that does not count."""
FLOOR = -100.0
"""Natural logarithm of what fillers have: nothing, even at a temperature of 4 or 5."""
BATCH_VALUES = 1 << 20
"""Distributions' numbers in one batch."""
ROW_IDS = "row_ids.txt"
SCHEMA = pa.schema(
    {
        "input_ids": pa.list_(pa.int32()),
        "attention_mask": pa.list_(pa.int8()),
        "labels": pa.list_(pa.int32()),
        "token_ids": pa.list_(pa.list_(pa.int32())),  # of the next token, likeliest first
        "top_values": pa.list_(pa.list_(pa.float32())),  # their natural logarithms
    }
)
Column = npt.NDArray[np.generic]


class Prepacked:
    """Writes a split's folder: the rows, what the library notes beside them, and their `row_id`s, a line each.

    Texts have no place among the columns, since DistillKit makes a tensor of every one of them.
    """

    def __init__(self, path: Path, *, others: Sequence[int]) -> None:
        """A writer of an Arrow file in a new folder; `others` are tokens to fill distributions up with."""
        path.parent.mkdir()
        self._path, self._others = path, others
        self._row_ids = (path.parent / ROW_IDS).open("w", encoding="utf-8", newline="\n")
        self._waiting = TemporaryFile(dir=path.parent)  # noqa: SIM115 - until close
        self._sizes: list[int] = []  # of what waits: marshal reads bytes much faster than files
        self.length = 1  # tokens in the longest row
        self.most = 1  # tokens that are listed at one place

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self._sizes)

    def add(self, record: Record) -> None:
        """Take a row: `ids`, `begin` (the first token that is learnt), `listed` (of each from there on), `row_id`."""
        self.length = max(self.length, len(record["ids"]))
        self.most = max(self.most, *map(len, record["listed"]))
        self._row_ids.write(f"{record['row_id']}\n")
        self._sizes.append(self._waiting.write(marshal.dumps(record)))

    def close(self) -> None:
        """Write all of them."""
        at_once = max(1, BATCH_VALUES // (self.length * self.most))
        padded = self._padded()
        with pa.OSFile(str(self._path), "wb") as file, pa.ipc.new_stream(file, SCHEMA) as stream:
            while rows := list(islice(padded, at_once)):
                stream.write_batch(_batch(rows))
        self._row_ids.close()
        self._waiting.close()
        self._note()

    def _padded(self) -> Iterator[dict[str, Column]]:
        self._waiting.seek(0)
        for size in self._sizes:
            yield self._row(marshal.loads(self._waiting.read(size)))  # noqa: S302 - written above

    def _row(self, record: Record) -> dict[str, Column]:
        """A row's columns, each `length` long. Place i is about token i + 1, which is the next one."""
        ids, length, others = record["ids"], self.length, self._others
        learnt = slice(record["begin"] - 1, len(ids) - 1)
        labels = np.full(length, IGNORED, np.int32)
        labels[learnt] = ids[learnt]
        # Other places do not count, but whatever is no number there would make the whole loss none.
        pairs = np.tile(np.array([(token, FLOOR) for token in others[: self.most]]), (length, 1, 1))
        pairs[:, 0, 1] = 0.0
        about = zip(record["listed"], ids[record["begin"] :], strict=True)
        pairs[learnt] = [filled(listed, token, self.most, others=others, floor=FLOOR) for listed, token in about]
        filling = length - len(ids)
        return {
            "input_ids": np.array([*ids, *[0] * filling], np.int32),
            "attention_mask": np.array([1] * len(ids) + [0] * filling, np.int8),
            "labels": labels,
            "token_ids": pairs[..., 0].astype(np.int32),
            "top_values": pairs[..., 1].astype(np.float32),
        }

    def _note(self) -> None:
        """Write what `load_from_disk` looks for; features and sizes it takes from the rows."""
        with self._path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        state: dict[str, Any] = {
            "_data_files": [{"filename": self._path.name}],
            "_fingerprint": digest[:16],
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": self._path.parent.name,
        }
        for name, notes in (("state.json", state), ("dataset_info.json", {})):
            (self._path.parent / name).write_text(json.dumps(notes, indent=2) + "\n", encoding="utf-8")


def _batch(rows: Sequence[Mapping[str, Column]]) -> pa.RecordBatch:
    columns = [_lists(np.stack([row[name] for row in rows])) for name in SCHEMA.names]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def _lists(values: Column) -> pa.Array:
    """An array's first axis as rows, each further one as lists in them."""
    lists = pa.array(values.ravel())
    for size in reversed(values.shape[1:]):
        lists = pa.ListArray.from_arrays(np.arange(0, len(lists) + 1, size, dtype=np.int32), lists)
    return lists
