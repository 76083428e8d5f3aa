"""Batches in the store: made before anything is sent, ended once it is known what became of each request."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, delete, exists, func, select, update
from sqlalchemy.dialects.sqlite import insert

from harvester.records import Json
from harvester.store.applying import utc_now
from harvester.store.conditions import in_plan
from harvester.store.dictionaries import packing_of
from harvester.store.packing import REPLIES, Packing
from harvester.store.paging import chunks
from harvester.store.plans import as_text
from harvester.store.schema import ANSWERED, PENDING, batched, batches, quarantined, requests

LIVE = batches.c.ended_at.is_(None)
GIVEN_UP = "given_up"
"""In the result of a batch without an end."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A batch that is to be made."""

    token: str
    recipe: str
    teacher: str
    teacher_id: int
    run_id: int
    request_ids: Sequence[int]
    sha256: str  # hex, of its file
    worst_nusd: int


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as the store knows it; the ids are the provider's."""

    id: int
    token: str
    recipe: str
    teacher: str
    teacher_id: int
    requests: int
    sha256: str
    worst_nusd: int
    created_at: str
    file_id: str | None
    batch_id: str | None
    status: str | None
    ended_at: str | None
    result: Json

    @property
    def name(self) -> str:
        """What a person calls it: the provider's id, or the beginning of our token where there is none yet."""
        return self.batch_id or self.token[:8]

    @property
    def given_up(self) -> bool:
        """Whether it was cancelled, or is to be, because it would never end."""
        return bool((self.result or {}).get(GIVEN_UP))


@dataclass(frozen=True, slots=True)
class Member:
    """A request of a batch that has no end."""

    request_id: int
    key: str
    body: bytes
    answered: bool


@dataclass(frozen=True, slots=True)
class Stray:
    """A line of output that belongs to no request, or to one that has its answer."""

    custom_id: str | None
    why: str
    raw: bytes


def add(connection: Connection, intent: Intent) -> int:
    """Write a batch down; from now on nobody else asks for its requests. Returns its number in the store."""
    values = {name: getattr(intent, name) for name in Intent.__slots__ if name != "request_ids"}
    values |= {"requests": len(intent.request_ids), "created_at": utc_now()}
    made = int(connection.execute(insert(batches).values(**values).returning(batches.c.id)).scalar_one())
    connection.execute(insert(batched), [{"request_id": one, "batch_id": made} for one in intent.request_ids])
    return made


def note(connection: Connection, batch: int, **said: str | None) -> None:
    """Note what the provider says of a batch: `file_id`, `batch_id`, `status`."""
    connection.execute(update(batches).where(batches.c.id == batch).values(**said))


def end(connection: Connection, batch: int, result: Json, *, leaves_over: bool = False) -> None:
    """Nothing more comes of a batch: what of its requests has no answer is open.

    With `leaves_over`, what is open of it now stays known as left over: it goes into no other batch.
    """
    connection.execute(update(batches).where(batches.c.id == batch).values(ended_at=utc_now(), result=as_text(result)))
    its = delete(batched).where(batched.c.batch_id == batch)
    if leaves_over:
        is_open = exists().where(requests.c.id == batched.c.request_id, requests.c.state == PENDING)
        its = its.where(~is_open)
    connection.execute(its)


def give_up(connection: Connection, batch: int) -> None:
    """Note that a batch is cancelled because it would never end."""
    connection.execute(update(batches).where(batches.c.id == batch).values(result=as_text({GIVEN_UP: True})))


def release(connection: Connection, recipe: str, teacher: str) -> None:
    """Let what a teacher's batches left over go into others again."""
    ended = select(batches.c.id).where(batches.c.recipe == recipe, batches.c.teacher == teacher, ~LIVE)
    connection.execute(delete(batched).where(batched.c.batch_id.in_(ended.scalar_subquery())))


def live(connection: Connection, recipe: str) -> list[Batch]:
    """A recipe's batches that have no end, in the order in which they were made."""
    return [_batch(row) for row in connection.execute(_query().where(LIVE, batches.c.recipe == recipe))]


def every(connection: Connection) -> list[Batch]:
    """All batches of a store, in the order in which they were made."""
    return [_batch(row) for row in connection.execute(_query())]


def _query() -> Any:
    return select(*(batches.c[name] for name in Batch.__slots__)).order_by(batches.c.id)


def _batch(row: Any) -> Batch:
    return Batch(**{**row._mapping, "result": row.result and json.loads(row.result)})  # noqa: SLF001 - its public name


def members(connection: Connection, batch: int) -> Iterable[Member]:
    """The requests of a batch that has no end, in the order of its file."""
    query = _in_batch(batch, requests.c.id, requests.c.key, requests.c.body, requests.c.state)
    found = connection.execute(query, execution_options={"yield_per": 500})
    return map(partial(_member, packing_of(connection)), found)


def keys_in(connection: Connection, batch: int) -> list[str]:
    """The keys of the requests of a batch that has no end, in the order of its file."""
    return list(connection.execute(_in_batch(batch, requests.c.key)).scalars())


def members_named(connection: Connection, keys: Sequence[str]) -> dict[str, Member]:
    """Some of the requests of a batch, by their keys."""
    query = select(requests.c.id, requests.c.key, requests.c.body, requests.c.state)
    found = (connection.execute(query.where(requests.c.key.in_(some))) for some in chunks(keys))
    read = partial(_member, packing_of(connection))
    return {member.key: member for rows in found for member in map(read, rows)}


def _in_batch(batch: int, *columns: Any) -> Any:
    its = select(*columns).join(batched, batched.c.request_id == requests.c.id).where(batched.c.batch_id == batch)
    return its.order_by(requests.c.id)


def _member(packing: Packing, row: Any) -> Member:
    return Member(row.id, row.key, packing.unpacked(row.body, f"request {row.id}"), row.state == ANSWERED)


def keys(connection: Connection, request_ids: Sequence[int]) -> dict[int, str]:
    """The keys of requests."""
    found: dict[int, str] = {}
    for some in chunks(request_ids):
        query = select(requests.c.id, requests.c.key).where(requests.c.id.in_(some))
        found |= {row.id: row.key for row in connection.execute(query)}
    return found


def reserved_nusd(connection: Connection, teacher: str | None = None) -> int:
    """What batches that have no end may still cost."""
    query = select(func.coalesce(func.sum(batches.c.worst_nusd), 0)).where(LIVE)
    if teacher is not None:
        query = query.where(batches.c.teacher == teacher)
    return int(connection.execute(query).scalar_one())


def count_waiting(connection: Connection, plan_id: int) -> int:
    """How many requests of a plan wait in batches; what a harvest that was killed took in does not."""
    # Row by row of `batched`: joined, SQLite may begin with the store's every request.
    is_open = exists().where(requests.c.id == batched.c.request_id, requests.c.state == PENDING, in_plan(plan_id))
    is_live = exists().where(batches.c.id == batched.c.batch_id, LIVE)
    query = select(func.count()).select_from(batched).where(is_open, is_live)
    return int(connection.execute(query).scalar_one())


def set_aside(connection: Connection, batch: int, strays: Sequence[Stray]) -> None:
    """Keep lines that belong to nothing; each once, however often they are read."""
    if not strays:
        return
    packing = packing_of(connection)
    values = [
        {
            "batch_id": batch,
            "custom_id": one.custom_id,
            "why": one.why,
            "raw": packing.packed(one.raw, REPLIES),
            "sha256": hashlib.sha256(one.raw).digest(),
        }
        for one in strays
    ]
    connection.execute(insert(quarantined).on_conflict_do_nothing(), values)


def strays(connection: Connection, batch: int) -> list[Stray]:
    """The lines of a batch's output that were set aside."""
    query, packing = select(quarantined).where(quarantined.c.batch_id == batch), packing_of(connection)
    return [
        Stray(row.custom_id, row.why, packing.unpacked(row.raw, f"quarantined {row.id}"))
        for row in connection.execute(query.order_by(quarantined.c.id))
    ]
