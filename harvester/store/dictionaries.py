"""The dictionaries that a store keeps.

Without its dictionary no reply can be read, so each is kept twice, with its SHA-256: a page that is overwritten
takes one copy at most.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import zstandard
from sqlalchemy import Connection

from harvester.errors import StoreUnusable
from harvester.store.packing import REPLIES, REQUESTS, Dictionary, Packing

COPIES = 2
HELD = (REQUESTS, REPLIES)
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
    known = {one.number for one in undamaged(found)}
    lost = {row[0] for row in found if _told(*row) is None} - known
    if lost:
        raise StoreUnusable(
            f"{store}: every copy of its dictionary {min(lost)} is damaged; restore a copy of the store"
        )


def undamaged(rows: Iterable[Sequence[object]]) -> list[Dictionary]:
    """Each dictionary of which a copy's data is what it was, in their order."""
    found: dict[int, Dictionary] = {}
    for row in rows:
        one = _told(*row)
        if one and (one.number not in found or found[one.number].holds not in HELD):
            found[one.number] = one
    return list(found.values())


def is_whole(number: object, holds: object, data: object, sha256: object) -> bool:
    """Whether everything of a copy is what it was."""
    found = _told(number, holds, data, sha256)
    return found is not None and found.number == number and found.holds in HELD


def _told(_number: object, holds: object, data: object, sha256: object) -> Dictionary | None:
    """What a copy says; its number is taken from its data, which the SHA-256 vouches for."""
    if not isinstance(data, bytes) or hashlib.sha256(data).digest() != sha256:
        return None
    return Dictionary(str(holds), data, zstandard.ZstdCompressionDict(data).dict_id())


def stored(dictionaries: Iterable[Dictionary]) -> Iterator[tuple[object, ...]]:
    """The values of `INSERT` for dictionaries, each as often as it is kept."""
    for _ in range(COPIES):
        for one in dictionaries:
            yield one.number, one.holds, one.data, hashlib.sha256(one.data).digest()
