"""CSV and TSV: a line of column names, then a row of texts for each seed."""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from harvester.errors import BadInput
from harvester.seeds.finding import Source
from harvester.seeds.texts import no_nul, opened
from harvester.seeds_spec import Seeds

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
MOST_CHARACTERS = 10_000_000
"""Of one value, as of a prompt: a quote that is never closed would read the rest of the file."""


def rows(source: Source, _: Seeds) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line on which it begins, fields) of every row; every value is a text.

    Raises:
        BadInput: naming the file, the line and the mend.
    """
    csv.field_size_limit(MOST_CHARACTERS)
    with opened(source.path, newline="") as file:
        delimiter = "\t" if source.path.suffix.lower() == ".tsv" else _delimiter(source.path, file)
        header: list[str] = []
        for number, values in _records(source.path, file, delimiter):
            if not header:
                header = _checked(source.path, values, number)
            elif len(values) != len(header):
                raise BadInput(
                    f"{source}: line {number}: has {len(values)} values, the first line names {len(header)} columns;"
                    f' put values that hold a {DELIMITERS[delimiter]} between quotes (")'
                )
            else:
                yield number, dict(zip(header, values, strict=True))
    if not header:
        raise BadInput(f"{source}: has no header; write the names of the columns on its first line")


def _records(path: Path, file: TextIO, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(first line, values) of every record but empty ones."""
    reader = csv.reader(_lines(path, file), delimiter=delimiter, strict=True)
    begins = 1
    try:
        for values in reader:
            if values:
                yield begins, values
            begins = reader.line_num + 1
    except csv.Error as error:
        raise BadInput(f'{path}: line {begins}: {error}; is a quote (") left open or not doubled?') from None


def _lines(path: Path, file: TextIO) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        no_nul(path, line, number)
        yield line


def _delimiter(path: Path, file: TextIO) -> str:
    """The one that reads the header well: no quotes inside the names, then the most columns, then a comma."""

    def reads(delimiter: str) -> tuple[bool, int]:
        file.seek(0)
        try:
            _, names = next(_records(path, file, delimiter), (1, []))
        except BadInput:  # with another delimiter its quotes may be sound
            return False, 0
        return not any('"' in name for name in names), len(names)

    best = max(DELIMITERS, key=reads)
    file.seek(0)
    return best


def _checked(path: Path, names: list[str], line: int) -> list[str]:
    stripped = [name.strip() for name in names]
    if "" in stripped:
        raise BadInput(f"{path}: line {line}: column {stripped.index('') + 1} has no name; write one into the header")
    twice = [name for name, count in Counter(stripped).items() if count > 1]
    if twice:
        raise BadInput(f"{path}: line {line}: the column {twice[0][:80]!r} is named twice; rename one")
    return stripped
