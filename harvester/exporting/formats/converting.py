"""A finished dataset's parquet files → the files of another layout, in their place."""

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from harvester.exporting.formats.catalogue import PAIRS, ROWS, Config, Format
from harvester.exporting.formats.records import LeftOutError

SPLITS = ("train", "dev", "test")
BATCH_ROWS = 200  # a row's logprobs may be a megabyte of Python's objects


@dataclass(slots=True)
class Converted:
    """What was written."""

    files: dict[str, dict[str, str]] = field(default_factory=dict)  # config → split → file
    rows: dict[str, Counter[str]] = field(default_factory=dict)  # config → rows by split
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)  # (split, reason) → rows


def convert(folder: Path, form: Format, name: str) -> Converted:
    """Replace a dataset's parquet files by those of a format.

    Args:
        folder: holds the parquet files, and nothing else yet.
        form: the format.
        name: the dataset's, for files that name it.
    """
    done = Converted()
    for config, kind in form.configs.items():
        done.files[config], done.rows[config] = {}, Counter()
        for split in SPLITS:
            _write(folder, kind, split, done, (config, form))
    for source in (ROWS, PAIRS):
        shutil.rmtree(folder / source, ignore_errors=True)
    for file, text in (form.beside(name, done.files) if form.beside else {}).items():
        (folder / file).write_text(text, encoding="utf-8")
    return done


def _write(folder: Path, kind: Config, split: str, done: Converted, to: tuple[str, Format]) -> None:
    config, form = to
    file = f"{kind.prefix}{split}{form.ending}"
    writer = None
    for row in _rows(folder / kind.source, split, kind.columns):
        try:
            record = kind.record(row)
        except LeftOutError as error:
            done.left_out[split, str(error)] += 1
            continue
        writer = writer or form.writer(folder / file)
        writer.add(record)
        done.rows[config][split] += 1
    if writer:
        writer.close()
        done.files[config][split] = file


def _rows(folder: Path, split: str, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for shard in sorted(folder.glob(f"{split}-*.parquet")):
        with pq.ParquetFile(shard) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=list(columns)):
                yield from batch.to_pylist()
