"""The rows that were made from one seed, by way of others or not, on the writer's own connection."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select, update

from harvester.records import Outcome, RuleDigests, Seed, unanswered
from harvester.selection import Node
from harvester.store.conditions import not_judged_by
from harvester.store.events import Known
from harvester.store.paging import PAGE, chunks
from harvester.store.reading import inflated, raw_replies
from harvester.store.schema import ANSWERED, EXHAUSTED, FAILED, PENDING, outcomes, requests, rows, seeds
from harvester.store.writing import Pending

ENDED = (FAILED, EXHAUSTED)
"""States of requests that have no answer, and get none in this run."""


@dataclass(frozen=True, slots=True)
class TreeRow:
    """A row with what its descendants are made from."""

    id: int
    row_id: str
    step: str
    position: int
    parent: int | None
    part: int
    sample: int
    teacher: str
    request_id: int
    seed: Seed


def rows_by_id(connection: Connection, ids: Iterable[int]) -> list[TreeRow]:
    """Rows by their number, in that order."""
    query = select(
        rows.c.id, rows.c.row_id, rows.c.step, rows.c.position, rows.c.parent, rows.c.part, rows.c.sample,
        rows.c.teacher, rows.c.request_id, rows.c.seed_id, rows.c.split, rows.c.reference, seeds.c.data,
    ).join(seeds, seeds.c.seed_id == rows.c.seed_id)  # fmt: skip
    found = []
    for some in chunks(ids):
        for row in connection.execute(query.where(rows.c.id.in_(some)).order_by(rows.c.id)):
            reference = None if row.reference is None else json.loads(row.reference)
            seed = Seed(row.seed_id, row.split, json.loads(row.data), reference)
            found.append(TreeRow(*row[:9], seed))
    return found


def chains(connection: Connection, of: Sequence[TreeRow]) -> dict[int, list[TreeRow]]:
    """Each row with the rows that it was made from, the first ancestor first."""
    known = {row.id: row for row in of}
    wanted = {row.parent for row in of} - {None} - set(known)
    while wanted:
        above = rows_by_id(connection, (one for one in wanted if one is not None))
        known |= {row.id: row for row in above}
        wanted = {row.parent for row in above} - {None} - set(known)
    return {row.id: _chain(row, known) for row in of}


def _chain(row: TreeRow, known: dict[int, TreeRow]) -> list[TreeRow]:
    found = [row]
    while (parent := found[-1].parent) is not None:
        found.append(known[parent])
    return found[::-1]


def replies_of(connection: Connection, of: Sequence[TreeRow]) -> dict[int, bytes]:
    """Row → its reply's bytes, for those that have one."""
    found = raw_replies(connection, dict.fromkeys(row.request_id for row in of))
    return {row.id: found[row.request_id] for row in of if row.request_id in found}


def body(connection: Connection, row: TreeRow) -> bytes:
    """The request's body."""
    blob = connection.execute(select(requests.c.body).where(requests.c.id == row.request_id)).scalar_one()
    return inflated(blob, f"request {row.request_id}")


def nodes(connection: Connection, plan_id: int, position: int, rules: RuleDigests) -> list[Node]:
    """Every row of a seed's tree, with its outcome by these rules; one that failed has that as its outcome."""
    query = _nodes_query(plan_id).where(rows.c.position == position)
    return [_node(row, rules) for row in connection.execute(query)]


def every(
    connection: Connection,
    plan_id: int,
    rules: RuleDigests,
    *,
    split: str,
    positions: Sequence[int] | None = None,
) -> Iterator[list[Node]]:
    """The tree of every seed of a split, as `nodes` gives it, streamed; or of the seeds at these places alone."""
    query = _nodes_query(plan_id).where(rows.c.split == split).order_by(rows.c.position)
    if positions is not None:
        query = query.where(rows.c.position.in_(positions))
    found = connection.execute(query, execution_options={"yield_per": PAGE})
    for _, tree in groupby(found, attrgetter("position")):
        yield [_node(row, rules) for row in tree]


def _nodes_query(plan_id: int) -> Select[Any]:
    return (
        select(
            rows.c.id, rows.c.step, rows.c.parent, rows.c.part, rows.c.sample, rows.c.position,
            requests.c.state, requests.c.reason,
            outcomes.c.rules, outcomes.c.accepted, outcomes.c.drop_reason, outcomes.c.score, outcomes.c.vote,
        )
        .join(requests, requests.c.id == rows.c.request_id)
        .outerjoin(outcomes, outcomes.c.id == rows.c.id)
        .where(rows.c.plan_id == plan_id)
    )  # fmt: skip


def _node(row: Row[Any], rules: RuleDigests) -> Node:
    outcome = None
    if row.state == ANSWERED and row.rules in rules.steps:
        outcome = Outcome(bool(row.accepted), row.drop_reason, score=row.score, vote=row.vote)
    elif row.state in ENDED:
        outcome = unanswered(row.state, row.reason)
    return Node(row.id, row.step, row.parent, row.part, row.sample, outcome)


def drop(connection: Connection, row: int, reason: str) -> None:
    """Note why an accepted row does not go on after all."""
    values = {"accepted": False, "drop_reason": reason}
    connection.execute(update(outcomes).where(outcomes.c.id == row).values(values))


@dataclass(frozen=True, slots=True)
class Children:
    """What rows led to: requests that can be asked, and those whose end is known."""

    open: list[Pending]
    ended: list[Known]  # that nobody has judged by the rules


def children(connection: Connection, plan_id: int, parents: Sequence[int], rules: RuleDigests) -> Children:
    """What can be asked, and what can be judged, of the rows that were made from these."""
    found = Children([], [])
    for some in chunks(parents):
        made = (rows.c.parent.in_(some), rows.c.plan_id == plan_id)
        to_ask = (
            select(requests.c.id, requests.c.body, func.min(rows.c.teacher).label("teacher"))
            .join(rows, rows.c.request_id == requests.c.id)
            .where(*made, requests.c.state == PENDING)
            .group_by(requests.c.id)
        )
        for row in connection.execute(to_ask):
            found.open.append(Pending(row.id, inflated(row.body, f"request {row.id}"), row.teacher))
        to_judge = (
            select(rows.c.request_id, rows.c.id)
            .join(requests, requests.c.id == rows.c.request_id)
            .outerjoin(outcomes, outcomes.c.id == rows.c.id)
            .where(*made, requests.c.state != PENDING, not_judged_by(rules))
        )
        found.ended.extend(Known(request_id, row) for request_id, row in connection.execute(to_judge))
    return found


def failed(
    connection: Connection, plan_id: int, *, request_ids: Sequence[int], row_ids: Sequence[int]
) -> dict[int, Outcome]:
    """The plan's rows without an answer, with what that makes of them: of these requests, and among these rows."""
    found = _failed(connection, plan_id, requests.c.id, request_ids)
    return found | _failed(connection, plan_id, rows.c.id, row_ids)


def _failed(connection: Connection, plan_id: int, column: ColumnElement[int], ids: Sequence[int]) -> dict[int, Outcome]:
    found = {}
    for some in chunks(ids):
        query = (
            select(rows.c.id, requests.c.state, requests.c.reason)
            .join(requests, requests.c.id == rows.c.request_id)
            .where(rows.c.plan_id == plan_id, column.in_(some), requests.c.state.in_(ENDED))
        )
        for row in connection.execute(query):
            found[row.id] = unanswered(row.state, row.reason)
    return found
