"""Writing a store anew: without free pages, and with requests and replies packed as well as is known."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harvester.store import choosing, dictionaries, replacing
from harvester.store.choosing import Sample
from harvester.store.dictionaries import COLUMNS, Column
from harvester.store.engine import plainly, schema_of, uri, writing_engine
from harvester.store.lock import sole_writer
from harvester.store.packing import DamagedError, Dictionary, Packing, number_of

LEADING = COLUMNS[:2]
"""By which dictionaries are chosen."""
TOLD_EVERY = 1000
CACHE_KIB = 256 * 1024
"""Of the new file: keys are hashes, and land all over their indexes."""
SPARE = 1.02
"""What is free must be so much more than is reckoned."""

_MADE_BY = "SELECT type, name, sql FROM old.sqlite_schema WHERE sql IS NOT NULL AND substr(name, 1, 7) <> 'sqlite_'"

Tell = Callable[[int, int], None]
"""Told how many of how many requests and replies are written."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """What compacting came to."""

    bytes_before: int
    bytes_after: int
    damaged: int  # requests and replies that could not be unpacked, and were taken over as they are


@dataclass(frozen=True, slots=True)
class Reckoned:
    """What compacting would come to, as a sample says it."""

    packing: Packing
    bytes_after: int
    samples: Mapping[str, Sample]  # by what they hold


def compact(path: Path, tell: Tell = lambda _done, _total: None) -> Compacted:
    """Write a store anew, brought to the newest schema, and put it in the place of the old one.

    Whatever happens meanwhile, at `path` is the old store or the new one, whole. Others may read the old one until the
    new one is ready.

    Args:
        path: the store; a link stays one.
        tell: told how far it is.

    Raises:
        StoreUnusable: no store; another process writes to it, or reads it at the end; no room; damaged.
    """
    schema_of(path)  # or nothing is made of what is no store
    store = path.resolve()
    with sole_writer(store):
        replacing.require_unread(store)  # before anything is changed: who reads an older schema may know no newer one
        writing_engine(store).dispose()  # migrates it; the last one to close a store takes its log into it
        before = store.stat().st_size
        with replacing.beside(store) as new, plainly(store, "rw") as old:
            version = replacing.version_of(old)
            dictionaries.require_whole(old, store)
            reckoned = reckon(old)
            replacing.require_room(store, round(reckoned.bytes_after * SPARE))
            damaged = _write(new, store, reckoned.packing, tell)
            replacing.put(new, store, old, version)
    return Compacted(before, store.stat().st_size, damaged)


def reckon(store: sqlite3.Connection) -> Reckoned:
    """How the store had best be packed, and how large it would be then; the cost does not grow with the store."""
    packing = dictionaries.read(store)
    pages, free, page_bytes = (
        int(store.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    size = (pages - free) * page_bytes
    samples = {column.holds: choosing.sample(store, column, packing) for column in LEADING}
    for holds, sample in samples.items():
        packing, gain = choosing.better(sample, holds, packing)
        size -= gain.now - gain.then
    return Reckoned(packing, max(page_bytes, size), samples)


def _write(new: Path, store: Path, packing: Packing, tell: Tell) -> int:
    """Copy the store into a new file; returns how much of it is damaged."""
    with plainly(new, "rwc", named=store) as connection:
        connection.execute("ATTACH ? AS old", [uri(store, "ro")])
        page_bytes = connection.execute("PRAGMA old.page_size").fetchone()[0]
        # Nobody else has the file, and if this does not come to its end it is removed: no journal, and one sync.
        for setting in (f"page_size={page_bytes}", "journal_mode=OFF", "synchronous=OFF", f"cache_size=-{CACHE_KIB}"):
            connection.execute(f"PRAGMA main.{setting}")
        connection.execute("BEGIN")
        copying = _Copying(connection, packing, tell)
        copying.run()
        connection.execute("COMMIT")
        connection.execute("PRAGMA main.journal_mode=WAL")  # as every store is
    return copying.damaged


class _Copying:
    """From the attached store `old` into an empty database."""

    def __init__(self, connection: sqlite3.Connection, packing: Packing, tell: Tell) -> None:
        self.damaged = 0
        self._connection, self._packing, self._tell = connection, packing, tell
        self._used: set[int] = set()  # numbers of dictionaries
        self._done, self._total = 0, sum(self._count(column.table) for column in COLUMNS)

    def run(self) -> None:
        """Tables first and indexes last: sorted at once, they are written in order and without gaps."""
        found = self._connection.execute(_MADE_BY).fetchall()
        packed = {column.table: column for column in COLUMNS}
        for kind, name, statement in found:
            if kind == "table":
                self._connection.execute(statement)
                if name in packed:
                    self._copy_packed(packed[name])
                elif name != "dictionaries":
                    self._connection.execute(f'INSERT INTO main."{name}" SELECT * FROM old."{name}"')  # noqa: S608
        self._connection.executemany(dictionaries.INSERT, dictionaries.stored(self._kept()))
        for kind, _, statement in found:
            if kind != "table":
                self._connection.execute(statement)
        self._tell(self._total, self._total)

    def _count(self, table: str) -> int:
        return int(self._connection.execute(f"SELECT count(*) FROM old.{table}").fetchone()[0])  # noqa: S608

    def _kept(self) -> list[Dictionary]:
        """The dictionaries without which something could not be unpacked, and those for what comes."""
        newest = [self._packing.newest(column.holds) for column in LEADING]
        return [one for one in self._packing.dictionaries if one in newest or one.number in self._used]

    def _copy_packed(self, column: Column) -> None:
        names = [row[1] for row in self._connection.execute(f"PRAGMA main.table_info({column.table})")]
        listed = ", ".join(names)
        rows = self._connection.execute(f"SELECT {listed} FROM old.{column.table} ORDER BY {column.key}")  # noqa: S608
        insert = f"INSERT INTO main.{column.table} ({listed}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
        self._connection.executemany(insert, self._repacked(rows, names, column))

    def _repacked(self, rows: Iterable[Sequence[Any]], names: list[str], column: Column) -> Iterator[list[Any]]:
        blob = names.index(column.name)
        sha256 = names.index("sha256") if "sha256" in names else None
        for row in rows:
            values = list(row)
            values[blob] = self._best(row[blob], None if sha256 is None else row[sha256], column.holds)
            yield values
            self._done += 1
            if self._done % TOLD_EVERY == 0:
                self._tell(self._done, self._total)

    def _best(self, blob: bytes, sha256: bytes | None, holds: str) -> bytes:
        """The same, packed as is best; what is damaged stays as it is, so that `verify` goes on to find it."""
        number = 0
        try:
            number, chosen = number_of(blob), self._packing.newest(holds)
            if chosen and number != chosen.number:
                text = _checked(self._packing.restored(blob), sha256)
                new = self._packing.packed(text, holds)
                if (number or len(new) < len(blob)) and self._packing.restored(new) == text:
                    blob, number = new, chosen.number
        except (DamagedError, TypeError):  # a text, say, where bytes should be
            self.damaged += 1
        self._used.add(number)  # of what is damaged too: its SHA-256 may be all that is wrong
        return blob


def _checked(text: bytes, sha256: bytes | None) -> bytes:
    if sha256 is not None and hashlib.sha256(text).digest() != sha256:
        raise DamagedError("it does not match its SHA-256")
    return text
