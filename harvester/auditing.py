"""Is what is stored what was received?"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Select, select
from sqlalchemy.exc import DBAPIError

from harvester.errors import StoreUnusable
from harvester.prompting import content_key
from harvester.store.dictionaries import is_whole, packing_of
from harvester.store.engine import explain, reading_engine
from harvester.store.packing import DamagedError, Packing
from harvester.store.schema import dictionaries, replies, requests, rows, seeds, teachers

PAGE = 1000


@dataclass(frozen=True, slots=True)
class Audit:
    """What `verify` looked at, and every problem as one line."""

    requests: int
    replies: int
    rows: int
    sqlite: str  # the library's version: before 3.51.3 a reset of the WAL could corrupt a store with several writers
    problems: tuple[str, ...]


def audit(path: Path) -> Audit:
    """Re-hash a store: the database's own check, every reply against its SHA-256, every request against its key.

    Raises:
        StoreUnusable: no store, or so damaged that it cannot be read.
    """
    problems: list[str] = []
    counts = {"requests": 0, "replies": 0, "rows": 0}
    with _reading(path) as connection:
        for (line,) in connection.exec_driver_sql("PRAGMA integrity_check(10)"):
            if line != "ok":
                problems.append(f"database: {line}")
        packing = packing_of(connection)
        problems += _problems_of_dictionaries(connection)
        for row in _pages(connection, _requests_query()):
            counts["requests"] += 1
            problems += _problems_of_request(row, packing)
        for row in _pages(connection, select(replies.c.request_id, replies.c.raw, replies.c.sha256)):
            counts["replies"] += 1
            problems += _problems_of_reply(row, packing)
        for row in _pages(connection, _dangling_query()):
            problems.append(f"row {row.row_id}: its seed or request is missing")
        counts["rows"] = connection.exec_driver_sql("SELECT count(*) FROM rows").scalar_one()
    return Audit(**counts, sqlite=sqlite3.sqlite_version, problems=tuple(problems))


@contextmanager
def _reading(path: Path) -> Iterator[Connection]:
    engine = reading_engine(path)
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        raise StoreUnusable(f"{path}: {explain(error)}") from error
    finally:
        engine.dispose()


def _pages(connection: Connection, query: Select[tuple[object, ...]]) -> Iterator[Row[*tuple[Any, ...]]]:
    for page in connection.execute(query).partitions(PAGE):
        yield from page


def _requests_query() -> Select[tuple[object, ...]]:
    """Requests with what their key was made from; the teacher is known once there is a reply."""
    return (
        select(requests.c.id, requests.c.key, requests.c.body, rows.c.sample, teachers.c.identity)
        .join(rows, rows.c.request_id == requests.c.id)
        .outerjoin(replies, replies.c.request_id == requests.c.id)
        .outerjoin(teachers, teachers.c.id == replies.c.teacher_id)
        .group_by(requests.c.id)
    )


def _dangling_query() -> Select[tuple[object, ...]]:
    return (
        select(rows.c.row_id)
        .outerjoin(seeds, seeds.c.seed_id == rows.c.seed_id)
        .outerjoin(requests, requests.c.id == rows.c.request_id)
        .where(seeds.c.seed_id.is_(None) | requests.c.id.is_(None))
    )


def _problems_of_dictionaries(connection: Connection) -> list[str]:
    return [
        f"dictionary {row.number}: one of its copies is damaged; `harvester store compact` writes it anew"
        for row in connection.execute(select(dictionaries))
        if not is_whole(row.number, row.holds, row.data, row.sha256)
    ]


def _problems_of_request(row: Row[*tuple[Any, ...]], packing: Packing) -> list[str]:
    try:
        body = json.loads(packing.restored(row.body))
    except ValueError as error:
        return [f"request {row.id}: its body is damaged ({error})"]
    if row.identity is not None and content_key(row.identity, body, row.sample) != row.key:
        return [f"request {row.id}: its body does not match its key"]
    return []


def _problems_of_reply(row: Row[*tuple[Any, ...]], packing: Packing) -> list[str]:
    try:
        raw = packing.restored(row.raw)
    except DamagedError as error:
        return [f"reply to request {row.request_id}: damaged ({error})"]
    if hashlib.sha256(raw).digest() != row.sha256:
        return [f"reply to request {row.request_id}: does not match its SHA-256"]
    return []
