"""Putting seeds, requests and rows into the store, a chunk of statements at a time."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects.sqlite import insert

from harvester.records import Asked, Json, Origin, Seed, canonical, digest
from harvester.store.dictionaries import packing_of
from harvester.store.packing import REQUESTS
from harvester.store.schema import requests, rows, seeds

CHUNK = 1000
ROW_ID_LENGTH = 32

New = tuple[Seed, Origin, Sequence[Asked]]
"""A seed, where it comes from, and what is asked about it."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What a plan's rows have in common."""

    plan_id: int
    recipe: str


def as_text(value: Json) -> str:
    """A value as the store keeps it: canonical JSON."""
    return canonical(value).decode()


def add_rows(connection: Connection, plan: Planned, planned: Iterable[New]) -> None:
    """Add rows to a plan; what an older plan of the recipe has in common with it moves over."""
    new = iter(planned)
    while chunk := list(islice(new, CHUNK)):
        _add_chunk(connection, plan, chunk)


def _add_chunk(connection: Connection, plan: Planned, chunk: Sequence[New]) -> None:
    connection.execute(
        insert(seeds).on_conflict_do_nothing(),
        [{"seed_id": seed.seed_id, "data": as_text(seed.data)} for seed, _, _ in chunk],
    )
    asked = [request for _, _, of_seed in chunk for one in of_seed for request in one.requests]
    packing = packing_of(connection)
    new = [{"key": request.key, "body": packing.packed(request.body, REQUESTS)} for request in asked]
    connection.execute(insert(requests).on_conflict_do_nothing(), new)
    request_id = select(requests.c.id).where(requests.c.key == bindparam("its_key")).scalar_subquery()
    statement = insert(rows).values(request_id=request_id)
    moved = {name: statement.excluded[name] for name in ("plan_id", "position", "reference", "teacher")}
    statement = statement.on_conflict_do_update(index_elements=["row_id"], set_=moved)
    connection.execute(statement, [values for one in chunk for values in _row_values(plan, *one)])


def _row_values(plan: Planned, seed: Seed, origin: Origin, asked: Sequence[Asked]) -> Iterator[dict[str, object]]:
    # Rows that are made from seeds have no parent in their identity, nor had they before there were others.
    made_from = [] if origin.parent is None else [origin.parent_row_id, origin.part]
    for one in asked:
        for sample, request in enumerate(one.requests, start=one.first_sample):
            identity = [plan.recipe, one.step, seed.split, seed.seed_id, sample, request.key, *made_from]
            yield {
                "row_id": digest(identity)[:ROW_ID_LENGTH],
                "plan_id": plan.plan_id,
                "position": origin.position,
                "step": one.step,
                "split": seed.split,
                "seed_id": seed.seed_id,
                "sample": sample,
                "reference": None if seed.reference is None else as_text(seed.reference),
                "parent": origin.parent,
                "part": origin.part,
                "teacher": one.teacher,
                "its_key": request.key,
            }
