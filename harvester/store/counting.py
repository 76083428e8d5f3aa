"""What a store holds of one recipe, in numbers."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Exists, Select, exists, func, select

from harvester.store.conditions import in_no_batch, in_plan
from harvester.store.schema import (
    ANSWERED,
    EXHAUSTED,
    OPEN,
    PENDING,
    outcomes,
    replies,
    requests,
    rows,
    runs,
    spending,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Counts:
    """What a store holds of one recipe."""

    requests: Mapping[str, int]  # by state
    rows: Mapping[str, int]  # by split
    steps: Mapping[tuple[str, bool | None, str | None], int]  # (step, accepted, drop reason) of train; none: not judged
    judged: Mapping[tuple[str, bool, str | None], int]  # (split, accepted, drop reason)
    failures: Mapping[str, int]  # reason → requests
    spent_nusd: int  # by the whole store
    minutes: float  # of collecting
    other_models: Mapping[str, int]  # model that replies name, where it is not the one that was asked → replies
    lacking_logprobs: int  # replies without them, though they were asked for


def count(connection: Connection, plan_id: int) -> Counts:
    """Totals of a plan; what is answered is not looked at one by one."""
    judgement = (rows.c.step, rows.c.split, outcomes.c.accepted, outcomes.c.drop_reason)
    of_rows = (
        select(*judgement, func.count())
        .outerjoin(outcomes, outcomes.c.id == rows.c.id)
        .where(rows.c.plan_id == plan_id)
        .group_by(*judgement)
    )
    state = (requests.c.state, requests.c.reason)
    unanswered = select(*state, func.count()).where(OPEN, in_plan(plan_id)).group_by(*state)
    # Plus nothing: read from one index in the order of requests, instead of row by row.
    asked = select(rows.c.request_id).where(rows.c.plan_id + 0 == plan_id).group_by(rows.c.request_id)
    spent = select(func.coalesce(func.sum(spending.c.answered_nusd + spending.c.lost_nusd), 0))
    seconds = select(func.coalesce(func.sum(runs.c.seconds), 0))
    states, failures, splits = Counter[str](), Counter[str](), Counter[str]()
    states[ANSWERED] = connection.execute(select(func.count()).select_from(asked.subquery())).scalar_one()
    for name, reason, number in connection.execute(unanswered):
        states.update({name: number, ANSWERED: -number})
        if reason is not None:
            failures[reason] += number
    judged, steps = Counter[tuple[str, bool, str | None]](), Counter[tuple[str, bool | None, str | None]]()
    for step, split, accepted, why, number in connection.execute(of_rows):
        splits[split] += number
        if split == "train":
            steps[step, accepted if accepted is None else bool(accepted), why] += number
        if accepted is not None:
            judged[split, bool(accepted), why] += number
    return Counts(
        requests=dict(+states),
        rows=dict(splits),
        steps=dict(steps),
        judged=dict(judged),
        failures=dict(failures),
        spent_nusd=int(connection.execute(spent).scalar_one()),
        minutes=round(connection.execute(seconds).scalar_one() / 60, 2),
        other_models=dict(connection.execute(_other_models(plan_id)).all()),
        lacking_logprobs=int(connection.execute(_lacking_logprobs(plan_id)).scalar_one()),
    )


def rows_by_step(connection: Connection, plan_id: int) -> dict[str, tuple[int, int]]:
    """Step → (how many rows a plan has, how many of these have no answer and wait in no batch)."""
    each = select(rows.c.step, func.count()).where(rows.c.plan_id == plan_id).group_by(rows.c.step)
    is_open = (OPEN, requests.c.state.in_((PENDING, EXHAUSTED)), in_no_batch())
    open_ = each.join(requests, requests.c.id == rows.c.request_id).where(*is_open)
    left = {step: number for step, number in connection.execute(open_)}  # noqa: C416 - rows are no pairs to mypy
    return {step: (number, left.get(step, 0)) for step, number in connection.execute(each)}


def _other_models(plan_id: int) -> Select[Any]:
    other = replies.c.other_model
    return select(other, func.count()).where(other.is_not(None), _of_plan(plan_id)).group_by(other)


def _lacking_logprobs(plan_id: int) -> Select[Any]:
    return select(func.count()).where(replies.c.lacks_logprobs.is_not(None), _of_plan(plan_id))


def _of_plan(plan_id: int) -> Exists:
    return exists().where(rows.c.request_id == replies.c.request_id, rows.c.plan_id == plan_id)
