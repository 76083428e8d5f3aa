"""Records of one split as one file, a record a line."""

import csv
import json
from pathlib import Path
from typing import Protocol

from harvester.exporting.formats.records import Record


class Writer(Protocol):
    """Writes the records of one split."""

    def add(self, record: Record, /) -> None:
        """Take a record."""

    def close(self) -> None:
        """Write what is left."""


class JsonLines:
    """Writes records as JSON, one a line."""

    def __init__(self, path: Path) -> None:
        """A writer of a new file."""
        self._file = path.open("w", encoding="utf-8", newline="\n")

    def add(self, record: Record) -> None:
        """Take a record."""
        self._file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Write what is left."""
        self._file.close()


class Csv:
    """Writes records as comma-separated values; the first one's names are the header."""

    def __init__(self, path: Path) -> None:
        """A writer of a new file."""
        # With the mark at its beginning Excel reads UTF-8; pandas and `datasets` take it off.
        self._file = path.open("w", encoding="utf-8-sig", newline="")
        self._writer: csv.DictWriter[str] | None = None

    def add(self, record: Record) -> None:
        """Take a record."""
        if self._writer is None:
            self._writer = csv.DictWriter(self._file, list(record))
            self._writer.writeheader()
        self._writer.writerow(record)

    def close(self) -> None:
        """Write what is left."""
        self._file.close()
