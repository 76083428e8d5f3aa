"""What curating dropped: one reason per row, replaced or taken back as a whole."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert

from harvester.records import Json
from harvester.store.applying import utc_now
from harvester.store.plans import as_text
from harvester.store.schema import curations, drops, rows

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


def replace(connection: Connection, recipe: str, settings: Json, looked_at: int, dropped: Iterable[Dropped]) -> None:
    """Put a new curation in the place of the recipe's last one."""
    forget(connection, recipe)
    values = {"recipe": recipe, "settings": as_text(settings), "made_at": utc_now(), "looked_at": looked_at}
    made = connection.execute(insert(curations).values(**values).returning(curations.c.id)).scalar_one()
    entries = (
        {"id": one.id, "curation_id": made, "filter": one.filter, "reason": one.reason, "detail": as_text(one.detail)}
        for one in dropped
    )
    while some := list(islice(entries, CHUNK)):
        connection.execute(insert(drops), some)


def forget(connection: Connection, recipe: str) -> int:
    """Take back what the recipe's curation dropped; returns how many rows that are."""
    of_recipe = select(curations.c.id).where(curations.c.recipe == recipe)
    taken_back = connection.execute(delete(drops).where(drops.c.curation_id.in_(of_recipe))).rowcount
    connection.execute(delete(curations).where(curations.c.recipe == recipe))
    return taken_back


def newest(connection: Connection, recipe: str) -> Curation | None:
    """The recipe's curation, if there is one."""
    query = select(curations).where(curations.c.recipe == recipe).order_by(curations.c.id.desc()).limit(1)
    found = connection.execute(query).first()
    return Curation(found.id, json.loads(found.settings), found.made_at, found.looked_at) if found else None


def dropped_of(connection: Connection, recipe: str) -> Iterator[tuple[str, Dropped]]:
    """(row_id, what was found) of every row that the recipe's curation dropped, by filter and row."""
    query = (
        select(rows.c.row_id, drops)
        .join(rows, rows.c.id == drops.c.id)
        .join(curations, curations.c.id == drops.c.curation_id)
        .where(curations.c.recipe == recipe)
        .order_by(drops.c.filter, drops.c.id)
    )
    for row in connection.execute(query):
        yield row.row_id, Dropped(row.id, row.filter, row.reason, json.loads(row.detail))
