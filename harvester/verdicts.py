"""What people say of single rows: accept, reject, edit. Kept beside the store, and stronger than any rule.

Every word is kept, with who said it, when and why; the last one about a row counts.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Literal, get_args

from harvester.errors import BadInput, StoreUnusable
from harvester.records import half_pair

Kind = Literal["accept", "reject", "edit", "withdraw"]
COLUMNS = ("row_id", "kind", "answer", "note", "said_by", "said_at")
TABLE = f"""
CREATE TABLE IF NOT EXISTS verdicts (
    id INTEGER PRIMARY KEY,
    {" TEXT, ".join(COLUMNS)} TEXT
)
"""
MADE = "SELECT 1 FROM sqlite_master WHERE name = 'verdicts'"


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
        if self.kind not in get_args(Kind):
            raise BadInput(f"verdict: {self.kind!r} is no kind of verdict; say one of {', '.join(get_args(Kind))}")
        if self.row_id is None:
            raise BadInput("verdict: row_id is missing; name the row")
        for name, text in asdict(self).items():
            if text is not None and (not isinstance(text, str) or half_pair(text)):
                raise BadInput(f"verdict: {name} is no text that can be kept: {text!a:.80}; write it as UTF-8")
        if self.kind == "edit" and self.answer is None:
            raise BadInput("verdict: edit says what stands instead of the teacher's answer; add --answer TEXT")
        if self.kind != "edit" and self.answer is not None:
            raise BadInput(f"verdict: {self.kind} takes no answer; say edit, or leave out --answer")


def beside(store: Path) -> Path:
    """The verdicts' file of a store: harvest.db → harvest.verdicts.db, any other name → name.verdicts."""
    return store.with_name(f"{store.stem}.verdicts.db" if store.suffix == ".db" else f"{store.name}.verdicts")


def say(store: Path, verdict: Verdict) -> None:
    """Add a verdict; it is on disk when this returns.

    Raises:
        StoreUnusable: the file cannot be written.
    """
    places = ", ".join("?" * len(COLUMNS))
    with _connected(beside(store), mode="rwc") as connection, connection:
        connection.execute("BEGIN IMMEDIATE")  # before a table is made the driver begins none itself
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
        if not connection.execute(MADE).fetchone():  # killed before the first word was on disk
            return {}
        for id_, *values in connection.execute(f"SELECT id, {', '.join(COLUMNS)} FROM verdicts ORDER BY id"):  # noqa: S608
            try:
                verdict = Verdict(*values)
            except BadInput as error:
                raise StoreUnusable(f"{path}: number {id_}: {error}; or delete it") from None
            last[verdict.row_id] = verdict
    return {row_id: verdict for row_id, verdict in last.items() if verdict.kind != "withdraw"}


@contextmanager
def _connected(path: Path, *, mode: str) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise StoreUnusable(f"{path}: {error}; let it be read and written, or restore a copy") from error
