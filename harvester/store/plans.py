"""Putting a plan's seeds, requests and rows into the store, a chunk of statements at a time."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects.sqlite import insert

from harvester.records import Json, Request, Seed, canonical, digest
from harvester.store.schema import requests, rows, seeds

LEAST_WBITS = 9  # of zlib: a window of 512 bytes
CHUNK = 1000
ROW_ID_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Planned:
    """What a plan's rows have in common."""

    plan_id: int
    recipe: str
    step: str


def packed(data: bytes) -> bytes:
    """Compressed, with a window no larger than the data: half of the time for a short reply, and no byte more."""
    return zlib.compress(data, 1, min(zlib.MAX_WBITS, max(LEAST_WBITS, len(data).bit_length())))


def as_text(value: Json) -> str:
    """A value as the store keeps it: canonical JSON."""
    return canonical(value).decode()


def add_rows(connection: Connection, plan: Planned, planned: Iterable[tuple[Seed, Sequence[Request]]]) -> None:
    """Add every row of a plan; what an older plan of the recipe has in common with it moves over."""
    numbered = enumerate(planned)
    while chunk := list(islice(numbered, CHUNK)):
        _add_chunk(connection, plan, chunk)


def _add_chunk(
    connection: Connection, plan: Planned, chunk: Sequence[tuple[int, tuple[Seed, Sequence[Request]]]]
) -> None:
    connection.execute(
        insert(seeds).on_conflict_do_nothing(),
        [{"seed_id": seed.seed_id, "data": as_text(seed.data)} for _, (seed, _) in chunk],
    )
    asked = [request for _, (_, of_seed) in chunk for request in of_seed]
    new = [{"key": request.key, "body": packed(request.body)} for request in asked]
    connection.execute(insert(requests).on_conflict_do_nothing(), new)
    values = [
        {
            "row_id": digest([plan.recipe, plan.step, seed.split, seed.seed_id, sample, request.key])[:ROW_ID_LENGTH],
            "plan_id": plan.plan_id,
            "position": position,
            "step": plan.step,
            "split": seed.split,
            "seed_id": seed.seed_id,
            "sample": sample,
            "reference": None if seed.reference is None else as_text(seed.reference),
            "its_key": request.key,
        }
        for position, (seed, of_seed) in chunk
        for sample, request in enumerate(of_seed)
    ]
    request_id = select(requests.c.id).where(requests.c.key == bindparam("its_key")).scalar_subquery()
    statement = insert(rows).values(request_id=request_id)
    moved = {name: statement.excluded[name] for name in ("plan_id", "position", "reference")}
    connection.execute(statement.on_conflict_do_update(index_elements=["row_id"], set_=moved), values)
