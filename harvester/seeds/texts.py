"""Text files, opened; what is wrong with one is told with its line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from harvester.errors import BadInput


@contextmanager
def opened(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """The file as UTF-8 text without a byte order mark; `newline` as for `open`.

    Raises:
        BadInput: it cannot be read, or what is read inside the block is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline=newline) as file:
            yield file
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 text: line {_bad_line(path)}: {error.reason}; save it as UTF-8") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from None


def no_nul(path: Path, text: str, line: int) -> None:
    """Refuse text that begins at a line and holds a NUL: no text has one, but UTF-16 read as UTF-8 does."""
    if "\0" in text:
        line += text[: text.index("\0")].count("\n")
        raise BadInput(f"{path}: line {line}: holds a NUL character; save it as UTF-8 text")


def _bad_line(path: Path) -> int:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1  # changed meanwhile
