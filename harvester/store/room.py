"""What is in a store's file, what takes its room, and what compacting would win."""

import json
import random
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harvester.parsing import parse
from harvester.store import dictionaries, replacing
from harvester.store.choosing import Sample
from harvester.store.compacting import LEADING, SPARE, reckon
from harvester.store.engine import plainly, schema_of
from harvester.store.lock import holder
from harvester.store.packing import REPLIES, REQUESTS
from harvester.store.schema import REVISIONS

EVERY_PAGE_BYTES = 4 << 30
"""Up to this size every page is looked at without being asked to: some 15 seconds from a disk."""
LOOKED_AT = 400
"""Rows of each table, where not every page is read."""
REST = "indexes and the rest"
COUNTS = {
    **{column.table: column.count for column in LEADING},
    "rows": "SELECT coalesce(max(id), 0) FROM rows",  # of which none is ever deleted
    "runs": "SELECT count(*) FROM runs",
    "plans": "SELECT count(*) FROM plans",
}
_SIZES = "SELECT name, pgsize FROM dbstat WHERE aggregate = 1"
_TABLES = "SELECT name, type, tbl_name FROM sqlite_schema WHERE type IN ('table', 'index')"


@dataclass(frozen=True, slots=True)
class Part:
    """A table, or an index of one."""

    name: str
    table: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Packed:
    """What requests or replies take, as a sample of them says it."""

    rows: int
    packed_bytes: int
    unpacked_bytes: int


@dataclass(frozen=True, slots=True)
class Room:
    """What is in a store's file. Other sizes than those of files are whole pages; all are bytes."""

    schema: str
    newest_schema: str  # that this Harvester knows
    file_bytes: int
    log_bytes: int  # of the -wal beside it
    leftover_bytes: int  # of a compaction that was killed
    free_bytes: int  # in the file
    counts: dict[str, int]
    parts: list[Part]  # the largest first
    every_page: bool  # else the parts are estimated
    requests: Packed
    replies: Packed
    logprobs_share: float  # of the replies' unpacked bytes
    dictionaries: int
    bytes_per_1000_rows: int | None
    compacted_bytes: int  # what the file would be
    needed_bytes: int  # that must be free for it
    writer: dict[str, object] | None


def room(path: Path, *, every_page: bool | None = None) -> Room:
    """Look at a store, which another process may be writing to.

    Args:
        path: the store.
        every_page: read all of the file, for what each table and index takes. By default so where the file is below
            4 GB; else, and where SQLite was built without `dbstat`, that is estimated from some rows of each table.

    Raises:
        StoreUnusable: no store, or one that cannot be read, or written by a newer Harvester.
    """
    schema, store = schema_of(path), path.resolve()
    size = store.stat().st_size
    with plainly(store, "ro") as connection:
        connection.execute("BEGIN")  # all of it is of one moment
        page_bytes, free = (_pragma(connection, name) for name in ("page_size", "freelist_count"))
        used = (_pragma(connection, "page_count") - free) * page_bytes
        counts = {name: int(connection.execute(query).fetchone()[0]) for name, query in COUNTS.items()}
        exact = _every_page(connection) if every_page or (every_page is None and size <= EVERY_PAGE_BYTES) else None
        parts = exact or _estimated(connection, used)
        reckoned = reckon(connection)
        known = len(dictionaries.read(connection).dictionaries)
    return Room(
        schema=schema,
        newest_schema=REVISIONS[-1],
        file_bytes=size,
        log_bytes=_size(store.with_name(store.name + "-wal")),
        leftover_bytes=_size(replacing.leftover(store)),
        free_bytes=free * page_bytes,
        counts=counts,
        parts=parts,
        every_page=exact is not None,
        requests=_packed(reckoned.samples[REQUESTS]),
        replies=_packed(reckoned.samples[REPLIES]),
        logprobs_share=_logprobs_share(reckoned.samples[REPLIES].texts),
        dictionaries=known,
        bytes_per_1000_rows=round(used / counts["rows"] * 1000) if counts["rows"] else None,
        compacted_bytes=reckoned.bytes_after,
        needed_bytes=round(reckoned.bytes_after * SPARE),
        writer=holder(store),
    )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _every_page(connection: sqlite3.Connection) -> list[Part] | None:
    """What each table and index takes; None where SQLite cannot tell."""
    tables = {name: table for name, _, table in connection.execute(_TABLES)}
    try:
        found = connection.execute(_SIZES).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        return None
    return _largest_first([Part(name, tables.get(name, name), size) for name, size in found])


def _estimated(connection: sqlite3.Connection, used: int) -> list[Part]:
    """What the values of tables take, by some of their rows; what is left of the file is the rest."""
    found = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'").fetchall()
    parts = [Part(name, name, _values(connection, name)) for name, made_by in found if "WITHOUT ROWID" not in made_by]
    rest = used - sum(part.bytes for part in parts)
    return _largest_first([*parts, Part(REST, REST, max(0, rest))])


def _values(connection: sqlite3.Connection, table: str) -> int:
    """The bytes of a table's values; its rows are numbered, and next to none was ever deleted."""
    names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    length = " + ".join(f"coalesce(length(CAST({name} AS BLOB)), 0)" for name in names)
    last = int(connection.execute(f"SELECT coalesce(max(rowid), 0) FROM {table}").fetchone()[0])  # noqa: S608
    some = ", ".join(map(str, random.Random(0).sample(range(1, last + 1), min(last, LOOKED_AT))))  # noqa: S311
    query = f"SELECT avg({length}) FROM {table} WHERE rowid IN ({some})"  # noqa: S608 - names and numbers of ours
    return round(last * (connection.execute(query).fetchone()[0] or 0))


def _largest_first(parts: list[Part]) -> list[Part]:
    return sorted(parts, key=lambda part: (-part.bytes, part.name))


def _packed(sample: Sample) -> Packed:
    """What a sample says of all that it is from."""
    texts = max(1, len(sample.texts))
    packed, unpacked = (sum(map(len, some)) for some in (sample.packed, sample.texts))
    return Packed(sample.rows, round(sample.rows * packed / texts), round(sample.rows * unpacked / texts))


def _logprobs_share(replies: Sequence[bytes]) -> float:
    """How much of replies' bytes are log probabilities."""
    some = replies[:LOOKED_AT]
    lists = [found for raw in some if (found := parse(raw).logprobs)]
    listed = sum(len(json.dumps(one, ensure_ascii=False, separators=(",", ":")).encode()) for one in lists)
    return min(1.0, round(listed / max(1, sum(map(len, some))), 3))
