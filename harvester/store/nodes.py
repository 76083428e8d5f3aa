"""The rows of a seed's tree as far as a selection looks at them."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from harvester.records import Outcome, RuleDigests, unanswered
from harvester.selection import Node
from harvester.store.paging import PAGE
from harvester.store.schema import ANSWERED, EXHAUSTED, FAILED, outcomes, requests, rows

ENDED = (FAILED, EXHAUSTED)
"""States of requests that have no answer, and get none in this run."""


def of_seed(connection: Connection, plan_id: int, position: int, rules: RuleDigests) -> list[Node]:
    """Every row of a seed's tree, with its outcome by these rules; one that failed has that as its outcome."""
    query = _query(plan_id).where(rows.c.position == position)
    return [_node(row, rules) for row in connection.execute(query)]


def every(
    connection: Connection,
    plan_id: int,
    rules: RuleDigests,
    *,
    split: str,
    positions: Sequence[int] | None = None,
) -> Iterator[list[Node]]:
    """The tree of every seed of a split, as `of_seed` gives it, streamed; or of the seeds at these places alone."""
    query = _query(plan_id).where(rows.c.split == split).order_by(rows.c.position)
    if positions is not None:
        query = query.where(rows.c.position.in_(positions))
    found = connection.execute(query, execution_options={"yield_per": PAGE})
    for _, tree in groupby(found, attrgetter("position")):
        yield [_node(row, rules) for row in tree]


def _query(plan_id: int) -> Select[Any]:
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
