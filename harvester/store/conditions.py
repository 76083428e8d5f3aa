"""Conditions that several queries have in common, written so that SQLite answers them from an index."""

from sqlalchemy import ColumnElement, and_, exists, func, not_, or_, select

from harvester.records import RuleDigests
from harvester.store.schema import batched, batches, outcomes, plans, replies, requests, rows, runs


def in_plan(plan_id: int) -> ColumnElement[bool]:
    """Whether a row of the plan needs the request."""
    return exists().where(rows.c.request_id == requests.c.id, rows.c.plan_id == plan_id)


def is_held_out(plan_id: int) -> ColumnElement[bool]:
    """Whether a row of dev or test of the plan needs the request."""
    its = rows.alias()  # the query may look at rows itself
    return exists().where(its.c.request_id == requests.c.id, its.c.plan_id == plan_id, its.c.split != "train")


def in_no_batch() -> ColumnElement[bool]:
    """Whether a request may be asked: none of those that wait in a batch may."""
    live = (batched.c.batch_id == batches.c.id, batches.c.ended_at.is_(None))
    return ~exists().where(batched.c.request_id == requests.c.id, *live)


def left_over() -> ColumnElement[bool]:
    """Whether a request that waits in no batch was left over by one, to be asked one by one."""
    return exists().where(batched.c.request_id == requests.c.id)


def unjudged(plan_id: int, rules: RuleDigests) -> tuple[ColumnElement[bool], ...]:
    """Terms over rows, replies and outcomes; only the replies of runs that may have left some are looked at.

    Those are the runs since the plan was last found to be judged by these rules, but for those that judged what they
    answered themselves.
    """
    known = (
        select(plans.c.judged_run).where(plans.c.id == plan_id, plans.c.judged_rules == rules.whole).scalar_subquery()
    )
    itself = and_(runs.c.plan_id == plan_id, runs.c.judged_rules.is_not(None), runs.c.judged_rules == rules.whole)
    suspects = select(runs.c.id).where(runs.c.id > func.coalesce(known, 0), not_(itself))
    # Plus nothing, so that SQLite begins with the few runs and not with the plan's every row.
    of_plan = rows.c.plan_id + 0 == plan_id
    return replies.c.run_id.in_(suspects), of_plan, not_judged_by(rules)


def not_judged_by(rules: RuleDigests) -> ColumnElement[bool]:
    """Whether a row, outer joined with its outcome, was not judged by its step's rules."""
    return or_(outcomes.c.rules.is_(None), outcomes.c.rules.not_in(rules.steps))
