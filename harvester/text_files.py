"""What is said of a file that should be UTF-8 text and is not, or cannot be read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harvester.errors import BadInput


@contextmanager
def readable(path: Path, where: str = "") -> Iterator[None]:
    """Around whatever reads a text file: its errors become one line.

    Args:
        path: the file.
        where: the recipe's file and field that name it, for messages.

    Raises:
        BadInput: the file cannot be read, or what is read inside the block is not UTF-8.
    """
    named = f"{where}: {path}" if where else str(path)
    try:
        yield
    except UnicodeDecodeError as error:
        raise BadInput(f"{named}: not UTF-8 text: line {_bad_line(path)}: {error.reason}; save it as UTF-8") from None
    except OSError as error:
        raise BadInput(f"{named}: cannot be read: {error.strerror or error}") from None


def _bad_line(path: Path) -> int:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1  # changed meanwhile
