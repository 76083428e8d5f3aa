"""Text files, opened; what is wrong with one is told with its line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from harvester.errors import BadInput
from harvester.text_files import readable


@contextmanager
def opened(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """The file as UTF-8 text without a byte order mark; `newline` as for `open`.

    Raises:
        BadInput: it cannot be read, or what is read inside the block is not UTF-8.
    """
    with readable(path), path.open(encoding="utf-8-sig", newline=newline) as file:
        yield file


def no_nul(path: Path, text: str, line: int) -> None:
    """Refuse text that begins at a line and holds a NUL: no text has one, but UTF-16 read as UTF-8 does."""
    if "\0" in text:
        line += text[: text.index("\0")].count("\n")
        raise BadInput(f"{path}: line {line}: holds a NUL character; save it as UTF-8 text")
