"""The rows that were made from one seed, by way of others or not, on the writer's own connection."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, func, select, update

from harvester.records import Outcome, RuleDigests, Seed, unanswered
from harvester.store.conditions import in_no_batch, is_held_out, not_judged_by
from harvester.store.dictionaries import packing_of
from harvester.store.events import Known
from harvester.store.nodes import ENDED
from harvester.store.paging import chunks
from harvester.store.pending import Pending
from harvester.store.schema import PENDING, outcomes, requests, rows, seeds
from harvester.store.stored import raw_replies


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
    return packing_of(connection).unpacked(blob, f"request {row.request_id}")


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
    found, packing = Children([], []), packing_of(connection)
    held_out = is_held_out(plan_id).label("held_out")
    for some in chunks(parents):
        made = (rows.c.parent.in_(some), rows.c.plan_id == plan_id)
        to_ask = (
            select(requests.c.id, requests.c.body, func.min(rows.c.teacher).label("teacher"), held_out)
            .join(rows, rows.c.request_id == requests.c.id)
            .where(*made, requests.c.state == PENDING, in_no_batch())
            .group_by(requests.c.id)
        )
        for row in connection.execute(to_ask):
            body = packing.unpacked(row.body, f"request {row.id}")
            found.open.append(Pending(row.id, body, row.teacher, bool(row.held_out)))
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
