"""Where does a row of a dataset come from?"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, select

from harvester.errors import StoreUnusable
from harvester.meanings import meaning
from harvester.pricing import usd
from harvester.records import Json
from harvester.store.curations import drop_of
from harvester.store.dictionaries import packing_of
from harvester.store.engine import explained, reading_engine
from harvester.store.naming import row_named
from harvester.store.packing import Packing
from harvester.store.schema import outcomes, plans, replies, requests, rows, runs, seeds, teachers
from harvester.verdicts import said

PART = ("row_id", "step", "sample", "seed", "request", "body", "reply", "outcome", "planned_at", "recipe_text")
"""What is told of each row on the way."""


def trace(path: Path, row_id: str) -> dict[str, Json]:
    """A row's whole way: seed, prompt, raw reply, the teacher and its terms of that day, the recipe's text of that day.

    `outcome` is what its step's rules made of the reply, None before they did. Of checks the store keeps those that
    took long; `drop_reason` names the one that failed, of whatever kind.

    With it come what curation and people say of it, the rows that it was made from, and all that were made from it:
    judges' verdicts, and theirs.

    Args:
        path: the store.
        row_id: the dataset's `row_id`, or a beginning of it that only one row has.

    Raises:
        BadInput: no such row, or several.
        StoreUnusable: no store, or it cannot be read.
    """
    with _reading(path) as connection:
        row = _row(connection, row_named(connection, path, row_id).id)
        drop, verdict = drop_of(connection, row.id), said(path).get(row.row_id)
        packing = packing_of(connection)
        made_from, led_to = _ancestors(connection, row), _descendants(connection, row)
        return {
            **_traced(row, packing),
            "curation": drop and {"filter": drop.filter, "reason": drop.reason, "detail": dict(drop.detail)},
            "verdict": verdict and asdict(verdict),
            "made_from": [_part(one, packing) for one in made_from],
            "led_to": [_part(one, packing) for one in led_to],
        }


def _trace_query() -> Select[tuple[object, ...]]:
    """A row with all that belongs to it; its recipe's text is the one by which its reply was asked for.

    Another seed or step makes a new plan, which takes over the rows of the one before: its text may be of a later day.
    Where another recipe of the store asked the same before, it is the text of the row's own plan.
    """
    day = plans.alias()
    return (
        select(
            rows.c.id, rows.c.parent, rows.c.row_id,
            rows.c.step, rows.c.split, rows.c.sample, rows.c.seed_id, seeds.c.data, rows.c.reference,
            requests.c.key, requests.c.body, requests.c.state, requests.c.reason, requests.c.attempts,
            replies.c.raw, replies.c.cost_nusd, replies.c.received_at, replies.c.run_id,
            teachers.c.name, teachers.c.provider, teachers.c.identity, teachers.c.terms, teachers.c.price,
            outcomes.c.accepted, outcomes.c.drop_reason, outcomes.c.score, outcomes.c.checks,
            plans.c.recipe,
            func.coalesce(day.c.recipe_text, plans.c.recipe_text).label("recipe_text"),
            func.coalesce(day.c.created_at, plans.c.created_at).label("planned_at"),
        )
        .join(seeds, seeds.c.seed_id == rows.c.seed_id)
        .join(requests, requests.c.id == rows.c.request_id)
        .join(plans, plans.c.id == rows.c.plan_id)
        .outerjoin(outcomes, outcomes.c.id == rows.c.id)
        .outerjoin(replies, replies.c.request_id == requests.c.id)
        .outerjoin(teachers, teachers.c.id == replies.c.teacher_id)
        .outerjoin(runs, runs.c.id == replies.c.run_id)
        .outerjoin(day, and_(day.c.id == runs.c.plan_id, day.c.recipe == plans.c.recipe))
    )  # fmt: skip


def _row(connection: Connection, id_: int) -> Row[*tuple[Any, ...]]:
    row = connection.execute(_trace_query().where(rows.c.id == id_)).first()
    if row is None:
        raise ValueError(f"row {id_}: it, its seed, its request or its plan is missing")
    return row


def _ancestors(connection: Connection, row: Row[*tuple[Any, ...]]) -> list[Row[*tuple[Any, ...]]]:
    """The rows that a row was made from, the first one first."""
    found: list[Row[*tuple[Any, ...]]] = []
    while row.parent is not None:
        if row.parent >= row.id:  # a parent is always older; else this might never end
            raise ValueError(f"row {row.row_id}: is made from a later row")
        row = _row(connection, row.parent)
        found.append(row)
    return found[::-1]


def _descendants(connection: Connection, row: Row[*tuple[Any, ...]]) -> list[Row[*tuple[Any, ...]]]:
    """The rows that were made from a row, by way of others or not, in the order in which they were planned."""
    below = select(rows.c.id).where(rows.c.parent == row.id).cte("below", recursive=True)
    below = below.union(select(rows.c.id).where(rows.c.parent == below.c.id))
    ids = connection.execute(select(below.c.id).order_by(below.c.id)).scalars()
    return [_row(connection, id_) for id_ in ids.all()]


def _part(row: Row[*tuple[Any, ...]], packing: Packing) -> dict[str, Json]:
    """What a row on the way adds to the one that is traced."""
    whole = _traced(row, packing)
    return {name: whole[name] for name in PART}


@contextmanager
def _reading(path: Path) -> Iterator[Connection]:
    engine = reading_engine(path)
    try:
        with explained(path), engine.connect() as connection:
            yield connection
    except (ValueError, TypeError) as error:  # missing, or neither compressed nor JSON any more
        raise StoreUnusable(f"{path}: damaged ({error}); `harvester verify` lists all of it") from error
    finally:
        engine.dispose()


def _traced(row: Row[*tuple[Any, ...]], packing: Packing) -> dict[str, Json]:
    reply = None
    if row.raw is not None:
        reply = {
            "raw": packing.restored(row.raw).decode("utf-8", "replace"),
            "usd": usd(row.cost_nusd),
            "received_at": row.received_at,
            "run": row.run_id,
            "teacher": {"name": row.name, "provider": row.provider, "identity": row.identity},
            "terms": json.loads(row.terms),
            "price": json.loads(row.price or "null"),
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
        "body": json.loads(packing.restored(row.body)),
        "reply": reply,
        "outcome": _outcome(row),
        "planned_at": row.planned_at,
        "recipe_text": row.recipe_text,
    }


def _outcome(row: Row[*tuple[Any, ...]]) -> Json:
    if row.accepted is None:
        return None
    return {
        "accepted": bool(row.accepted),
        "drop_reason": row.drop_reason,
        "meaning": meaning(row.drop_reason or "", frozenset()),
        "score": row.score,
        "failed_checks": [check for check in json.loads(row.checks or "[]") if not check["passed"]],
    }
