"""Requests that are planned and have no answer: those that can be asked, in their order."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Select, and_, func, select

from harvester.store.conditions import in_no_batch, in_plan, is_held_out, left_over
from harvester.store.dictionaries import packing_of
from harvester.store.events import TEACHER
from harvester.store.schema import OPEN, PENDING, requests, rows


@dataclass(frozen=True, slots=True)
class Pending:
    """A planned request that has no answer yet."""

    request_id: int
    body: bytes
    teacher: str = TEACHER  # the recipe's name for it
    held_out: bool = False  # of dev or test: asked however many rows of train are accepted


PendingQuery = Select[tuple[int, bytes, str, bool]]


def pending_query(
    plan_id: int, teacher: str | None = None, *, held_out: bool = False, of_batches: bool | None = None
) -> PendingQuery:
    """The plan's open requests, each with the one teacher that it is asked of.

    Args:
        plan_id: whose requests.
        teacher: of whom they are asked; None: of anybody.
        held_out: only those of dev and test.
        of_batches: only what batches left over, or only what they did not; None: both.
    """
    # Steps that ask the same of one provider under two names share the request: one of the names has it.
    of_plan = (rows.c.request_id == requests.c.id, rows.c.plan_id == plan_id)
    asked = select(func.min(rows.c.teacher)).where(*of_plan).scalar_subquery()
    its = in_plan(plan_id) if teacher is None else asked == teacher
    if of_batches is not None:
        its = and_(its, left_over() if of_batches else ~left_over())
    is_open = (OPEN, requests.c.state == PENDING, its, in_no_batch())
    columns = (requests.c.id, requests.c.body, asked.label("teacher"), is_held_out(plan_id).label("held_out"))
    query = select(*columns).where(*is_open)
    return query.where(is_held_out(plan_id)) if held_out else query


def found(connection: Connection, query: PendingQuery, store: Path) -> Iterator[Pending]:
    """What a `pending_query` gives.

    Raises:
        StoreUnusable: a body is damaged; `store` is named.
    """
    packing = packing_of(connection)
    for row in connection.execute(query):
        body = packing.unpacked(row.body, f"{store}: request {row.id}")
        yield Pending(row.id, body, row.teacher, bool(row.held_out))


def count_of_teacher(connection: Connection, plan_id: int, teacher: str, *, of_batches: bool | None) -> int:
    """How many open requests the plan asks of a teacher; `of_batches` as in `pending_query`."""
    query = pending_query(plan_id, teacher, of_batches=of_batches).with_only_columns(func.count())
    return int(connection.execute(query).scalar_one())


def count(connection: Connection, plan_id: int, *, held_out: bool) -> int:
    """How many of the plan's requests are open; with `held_out`, of those of dev and test alone."""
    its = is_held_out(plan_id) if held_out else in_plan(plan_id)
    is_open = (OPEN, requests.c.state == PENDING, its, in_no_batch())
    return int(connection.execute(select(func.count()).select_from(requests).where(*is_open)).scalar_one())
