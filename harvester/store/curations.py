"""What curating dropped: one reason per row, replaced or taken back as a whole."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from harvester.records import Json
from harvester.store.applying import utc_now
from harvester.store.plans import as_text
from harvester.store.schema import curated, curations, plans, replies, rows, runs

CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Dropped:
    """One row that a curation dropped."""

    id: int  # the row's number
    filter: str
    reason: str
    detail: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Curation:
    """A recipe's newest curation."""

    id: int
    settings: Mapping[str, Json]
    made_at: str  # ISO 8601, UTC
    looked_at: int  # answered rows of train and dev
    dropped: Mapping[str, int]  # reason → rows of the recipe's newest plan


def replace(
    connection: Connection, recipe: str, settings: Json, looked_at: int, found: Mapping[int, Dropped | None]
) -> None:
    """Put a new curation in the place of the recipe's last one; of each row what is against it, if anything is."""
    forget(connection, recipe)
    values = {"recipe": recipe, "settings": as_text(settings), "made_at": utc_now(), "looked_at": looked_at}
    made = connection.execute(insert(curations).values(**values).returning(curations.c.id)).scalar_one()
    entries = (_entry(made, row, drop) for row, drop in found.items())
    while some := list(islice(entries, CHUNK)):
        connection.execute(insert(curated), some)


def _entry(made: int, row: int, drop: Dropped | None) -> dict[str, Json]:
    entry = {"id": row, "curation_id": made, "filter": None, "reason": None, "detail": None}
    return entry | {"filter": drop.filter, "reason": drop.reason, "detail": as_text(drop.detail)} if drop else entry


def forget(connection: Connection, recipe: str) -> int:
    """Take back what the recipe's curation dropped; returns how many rows that are."""
    of_recipe = select(curations.c.id).where(curations.c.recipe == recipe)
    its = curated.c.curation_id.in_(of_recipe)
    query = select(func.count()).select_from(curated).where(its, curated.c.reason.is_not(None))
    taken_back = int(connection.execute(query).scalar_one())
    connection.execute(delete(curated).where(its))
    connection.execute(delete(curations).where(curations.c.recipe == recipe))
    return taken_back


def newest(connection: Connection, recipe: str) -> Curation | None:
    """The recipe's curation, if there is one."""
    query = select(curations).where(curations.c.recipe == recipe).order_by(curations.c.id.desc()).limit(1)
    found = connection.execute(query).first()
    if found is None:
        return None
    plan = select(func.max(plans.c.id)).where(plans.c.recipe == recipe).scalar_subquery()
    counted = (
        select(curated.c.reason, func.count())
        .join(rows, rows.c.id == curated.c.id)
        .where(curated.c.curation_id == found.id, rows.c.plan_id == plan)
        .group_by(curated.c.reason)
    )
    dropped = {reason: int(count) for reason, count in connection.execute(counted) if reason is not None}
    return Curation(found.id, json.loads(found.settings), found.made_at, found.looked_at, dropped)


def answered_since(connection: Connection, plan_id: int, steps: Sequence[str], made_at: str) -> int:
    """How many rows of train and dev of a plan's steps were answered by runs that began after a curation was made."""
    later = select(runs.c.id).where(runs.c.started_at > made_at)  # none goes on while another command writes
    query = (
        select(func.count())
        .select_from(replies)
        .join(rows, rows.c.request_id == replies.c.request_id)
        .where(replies.c.run_id.in_(later), rows.c.plan_id + 0 == plan_id)
        .where(rows.c.step.in_(steps), rows.c.split != "test")
    )
    return int(connection.execute(query).scalar_one())


def drop_of(connection: Connection, row: int) -> Dropped | None:
    """What the newest curation has against a row."""
    query = select(curated).where(curated.c.id == row, curated.c.reason.is_not(None))
    found = connection.execute(query).first()
    return Dropped(found.id, found.filter, found.reason, json.loads(found.detail)) if found else None
