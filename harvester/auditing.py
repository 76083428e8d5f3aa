"""Is what is stored what was received, and where does a row come from?"""

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Select, select
from sqlalchemy.exc import DBAPIError

from harvester.errors import BadInput, StoreUnusable
from harvester.pricing import usd
from harvester.prompting import content_key
from harvester.records import Json
from harvester.store.engine import explain, reading_engine
from harvester.store.schema import plans, replies, requests, rows, seeds, teachers

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
        for row in _pages(connection, _requests_query()):
            counts["requests"] += 1
            problems += _problems_of_request(row)
        for row in _pages(connection, select(replies.c.request_id, replies.c.raw, replies.c.sha256)):
            counts["replies"] += 1
            problems += _problems_of_reply(row)
        for row in _pages(connection, _dangling_query()):
            problems.append(f"row {row.row_id}: its seed or request is missing")
        counts["rows"] = connection.exec_driver_sql("SELECT count(*) FROM rows").scalar_one()
    return Audit(**counts, sqlite=sqlite3.sqlite_version, problems=tuple(problems))


def trace(path: Path, row_id: str) -> dict[str, Json]:
    """A row's whole way: seed, prompt, raw reply, the teacher and its terms of that day, the recipe's text of that day.

    With it come the rows that it was made from, and those that were made from it: judges' verdicts, for example.

    Args:
        path: the store.
        row_id: the dataset's `row_id`, or a beginning of it that only one row has.

    Raises:
        BadInput: no such row, or several.
        StoreUnusable: no store, or it cannot be read.
    """
    with _reading(path) as connection:
        by_name = rows.c.row_id.startswith(row_id, autoescape=True)
        found = connection.execute(_trace_query().where(by_name).limit(2)).all()
        if len(found) != 1:
            what = "several rows begin with" if found else "no row begins with"
            raise BadInput(f"{path}: {what} {row_id!r}; take the row_id of the dataset")
        made_from = _ancestors(connection, found[0])
        made_of_it = connection.execute(_trace_query().where(rows.c.parent == found[0].id).order_by(rows.c.id)).all()
    whole = _traced(found[0])
    return {
        **whole,
        "made_from": [_part(row) for row in made_from],
        "led_to": [_part(row) for row in made_of_it],
    }


def _trace_query() -> Select[tuple[object, ...]]:
    return (
        select(
            rows.c.id, rows.c.parent, rows.c.row_id,
            rows.c.step, rows.c.split, rows.c.sample, rows.c.seed_id, seeds.c.data, rows.c.reference,
            requests.c.key, requests.c.body, requests.c.state, requests.c.reason, requests.c.attempts,
            replies.c.raw, replies.c.cost_nusd, replies.c.received_at, replies.c.run_id,
            teachers.c.name, teachers.c.provider, teachers.c.identity, teachers.c.terms, teachers.c.price,
            plans.c.recipe, plans.c.recipe_text, plans.c.created_at,
        )
        .join(seeds, seeds.c.seed_id == rows.c.seed_id)
        .join(requests, requests.c.id == rows.c.request_id)
        .join(plans, plans.c.id == rows.c.plan_id)
        .outerjoin(replies, replies.c.request_id == requests.c.id)
        .outerjoin(teachers, teachers.c.id == replies.c.teacher_id)
    )  # fmt: skip


def _ancestors(connection: Connection, row: Row[*tuple[Any, ...]]) -> list[Row[*tuple[Any, ...]]]:
    """The rows that a row was made from, the first one first."""
    found: list[Row[*tuple[Any, ...]]] = []
    while row.parent is not None:
        row = connection.execute(_trace_query().where(rows.c.id == row.parent)).one()
        found.append(row)
    return found[::-1]


def _part(row: Row[*tuple[Any, ...]]) -> dict[str, Json]:
    """What a row on the way adds: its own question and reply; the rest is the same as of the row that is traced."""
    whole = _traced(row)
    return {name: whole[name] for name in ("row_id", "step", "sample", "seed", "request", "body", "reply")}


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


def _problems_of_request(row: Row[*tuple[Any, ...]]) -> list[str]:
    try:
        body = json.loads(zlib.decompress(row.body))
    except (zlib.error, ValueError) as error:
        return [f"request {row.id}: its body is damaged ({error})"]
    if row.identity is not None and content_key(row.identity, body, row.sample) != row.key:
        return [f"request {row.id}: its body does not match its key"]
    return []


def _problems_of_reply(row: Row[*tuple[Any, ...]]) -> list[str]:
    try:
        raw = zlib.decompress(row.raw)
    except zlib.error as error:
        return [f"reply to request {row.request_id}: damaged ({error})"]
    if hashlib.sha256(raw).digest() != row.sha256:
        return [f"reply to request {row.request_id}: does not match its SHA-256"]
    return []


def _traced(row: Row[*tuple[Any, ...]]) -> dict[str, Json]:
    reply = None
    if row.raw is not None:
        reply = {
            "raw": zlib.decompress(row.raw).decode("utf-8", "replace"),
            "usd": usd(row.cost_nusd),
            "received_at": row.received_at,
            "run": row.run_id,
            "teacher": {"name": row.name, "provider": row.provider, "identity": row.identity},
            "terms": json.loads(row.terms),
            "price": json.loads(row.price),
        }
    return {
        "row_id": row.row_id,
        "recipe": row.recipe,
        "step": row.step,
        "split": row.split,
        "sample": row.sample,
        "seed_id": row.seed_id,
        "seed": json.loads(row.data),
        "reference": None if row.reference is None else json.loads(row.reference),
        "request": {"key": row.key, "state": row.state, "attempts": row.attempts, "reason": row.reason},
        "body": json.loads(zlib.decompress(row.body)),
        "reply": reply,
        "planned_at": row.created_at,
        "recipe_text": row.recipe_text,
    }
