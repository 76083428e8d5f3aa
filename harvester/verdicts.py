"""What people say of single rows: accept, reject, edit. Kept beside the store, and stronger than any rule.

Every word is kept, with who said it, when and why; the last one about a row counts.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Literal

from harvester.errors import BadInput, StoreUnusable

Kind = Literal["accept", "reject", "edit", "withdraw"]
COLUMNS = ("row_id", "kind", "answer", "note", "said_by", "said_at")
TABLE = f"""
CREATE TABLE IF NOT EXISTS verdicts (
    id INTEGER PRIMARY KEY,
    {" TEXT, ".join(COLUMNS)} TEXT
)
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One person's word about one row."""

    row_id: str
    kind: Kind
    answer: str | None = None  # what stands instead of the teacher's, where it was edited
    note: str | None = None
    said_by: str | None = None
    said_at: str = ""  # ISO 8601, UTC

    def __post_init__(self) -> None:
        if (self.kind == "edit") != (self.answer is not None):
            raise BadInput("verdict: an edit, and nothing else, comes with the new answer")


def beside(store: Path) -> Path:
    """The verdicts' file of a store: harvest.db → harvest.verdicts.db."""
    return store.with_name(f"{store.stem}.verdicts{store.suffix or '.db'}")


def say(store: Path, verdict: Verdict) -> None:
    """Add a verdict; it is on disk when this returns.

    Raises:
        StoreUnusable: the file cannot be written.
    """
    places = ", ".join("?" * len(COLUMNS))
    with _connected(beside(store), mode="rwc") as connection, connection:
        connection.execute(TABLE)
        connection.execute(f"INSERT INTO verdicts ({', '.join(COLUMNS)}) VALUES ({places})", astuple(verdict))  # noqa: S608 - our own names


def said(store: Path) -> Mapping[str, Verdict]:
    """The last word about each row that was not withdrawn, by row_id; empty where nobody said anything.

    Raises:
        StoreUnusable: the file cannot be read.
    """
    path = beside(store)
    if not path.exists():
        return {}
    last: dict[str, Verdict] = {}
    with _connected(path, mode="ro") as connection:
        for values in connection.execute(f"SELECT {', '.join(COLUMNS)} FROM verdicts ORDER BY id"):  # noqa: S608
            verdict = Verdict(*values)
            last[verdict.row_id] = verdict
    return {row_id: verdict for row_id, verdict in last.items() if verdict.kind != "withdraw"}


@contextmanager
def _connected(path: Path, *, mode: str) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise StoreUnusable(f"{path}: {error}; let it be read and written, or restore a copy") from error
