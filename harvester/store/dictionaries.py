"""The dictionaries that a store keeps.

Without its dictionary no reply can be read, so each is kept twice, with its SHA-256: a page that is overwritten
takes one copy at most.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from harvester.errors import StoreUnusable
from harvester.store.packing import REPLIES, REQUESTS, Dictionary, Packing

COPIES = 2
INSERT = "INSERT INTO dictionaries (number, holds, data, sha256) VALUES (?, ?, ?, ?)"

_SELECT = "SELECT number, holds, data, sha256 FROM dictionaries ORDER BY id"
_PACKING = "harvester.packing"


@dataclass(frozen=True, slots=True)
class Column:
    """Where packed texts stand."""

    table: str
    key: str
    name: str
    holds: str
    count: str  # a query


COLUMNS = (
    # No request is ever deleted, and counting millions would take seconds.
    Column("requests", "id", "body", REQUESTS, "SELECT coalesce(max(id), 0) FROM requests"),
    Column("replies", "request_id", "raw", REPLIES, "SELECT count(*) FROM replies"),
    Column("quarantined", "id", "raw", REPLIES, "SELECT count(*) FROM quarantined"),
)


def packing_of(connection: Connection) -> Packing:
    """How the store packs that a connection is to; looked up once for each connection."""
    found: Packing | None = connection.info.get(_PACKING)
    if found is None:
        found = connection.info[_PACKING] = Packing(undamaged(connection.exec_driver_sql(_SELECT)))
    return found


def read(connection: sqlite3.Connection) -> Packing:
    """The same by the driver's own connection; of a store from before there were any, one without."""
    there = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'dictionaries'").fetchone()
    return Packing(undamaged(connection.execute(_SELECT)) if there else ())


def require_whole(connection: sqlite3.Connection, store: Path) -> None:
    """Is there an undamaged copy of each dictionary?

    Raises:
        StoreUnusable: of one there is none.
    """
    found = connection.execute(_SELECT).fetchall()
    lost = {row[0] for row in found} - {one.number for one in undamaged(found)}
    if lost:
        raise StoreUnusable(
            f"{store}: every copy of its dictionary {min(lost)} is damaged; restore a copy of the store"
        )


def undamaged(rows: Iterable[Sequence[object]]) -> list[Dictionary]:
    """Each dictionary of which a copy is what it was, in their order."""
    found: dict[int, Dictionary] = {}
    for number, holds, data, sha256 in rows:
        if isinstance(number, int) and isinstance(data, bytes) and hashlib.sha256(data).digest() == sha256:
            found.setdefault(number, Dictionary(str(holds), data, number))
    return list(found.values())


def stored(dictionaries: Iterable[Dictionary]) -> Iterator[tuple[object, ...]]:
    """The values of `INSERT` for dictionaries, each as often as it is kept."""
    for _ in range(COPIES):
        for one in dictionaries:
            yield one.number, one.holds, one.data, hashlib.sha256(one.data).digest()
