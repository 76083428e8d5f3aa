"""Runs in the store: how they begin and end, what killed ones may have sent, and what is known to be judged."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, func, select, update
from sqlalchemy.dialects.sqlite import insert

from harvester.records import Json
from harvester.store import pending
from harvester.store.applying import utc_now, write
from harvester.store.conditions import in_plan
from harvester.store.events import Lost
from harvester.store.mark import Mark
from harvester.store.paging import chunks
from harvester.store.pending import Pending
from harvester.store.plans import as_text
from harvester.store.schema import EXHAUSTED, FAILED, OPEN, PENDING, plans, requests, runs

DONE, STOPPED, KILLED = "done", "stopped", "killed"
ORDERLY = (DONE, STOPPED)
"""Outcomes of a run; a killed one is closed by the next."""


@dataclass(frozen=True, slots=True)
class KilledRun:
    """A run that never ended: at most `sent` got no answer, at its prices (JSON by teacher, as `Price`)."""

    run_id: int
    prices: Mapping[str, Json]
    sent: list[Pending]


def killed(connection: Connection, mark: Mark, store: Path) -> list[KilledRun]:
    """Every run that never ended, with what it may have sent and has no answer to."""
    found = connection.execute(select(runs).where(runs.c.ended_at.is_(None))).all()
    prices = [json.loads(run.price or "{}") or {} for run in found]
    return [
        KilledRun(run.id, its, _maybe_sent(connection, run, mark, store))
        for run, its in zip(found, prices, strict=True)
    ]


def _maybe_sent(connection: Connection, run: Row[Any], mark: Mark, store: Path) -> list[Pending]:
    marked, highest = mark.of(run.id)
    highest = max(run.handed_out, highest)  # of a run from before schema 0003
    query = pending.pending_query(run.plan_id)
    if highest:
        return list(pending.found(connection, query.where(requests.c.id <= highest), store))
    out = chunks(sorted({*marked, *json.loads(run.outstanding or "[]")}))
    return list(
        chain.from_iterable(pending.found(connection, query.where(requests.c.id.in_(some)), store) for some in out)
    )


def uncertain(connection: Connection, recipe: str) -> int:
    """How many requests the recipe's runs that were killed since its last orderly one may have sent in vain."""
    of_recipe = runs.c.recipe == recipe
    orderly = select(func.coalesce(func.max(runs.c.id), 0)).where(of_recipe, runs.c.outcome.in_(ORDERLY))
    query = select(func.coalesce(func.sum(runs.c.uncertain), 0))
    return int(connection.execute(query.where(of_recipe, runs.c.id > orderly.scalar_subquery())).scalar_one())


def begin(connection: Connection, plan_id: int, recipe: str, prices: Json) -> int:
    """A new run's id."""
    values = {"plan_id": plan_id, "recipe": recipe, "price": as_text(prices), "started_at": utc_now()}
    return int(connection.execute(insert(runs).values(**values).returning(runs.c.id)).scalar_one())


def reopen(connection: Connection, plan_id: int, *, retry_failed: bool) -> None:
    """What ran out of attempts last time is open again, with `retry_failed` all that failed."""
    reopened = (EXHAUSTED, FAILED) if retry_failed else (EXHAUSTED,)
    again = (OPEN, requests.c.state.in_(reopened), in_plan(plan_id))
    connection.execute(update(requests).where(*again).values(state=PENDING, reason=None))


def end(
    connection: Connection, run_id: int, outcome: str, *, seconds: float, lost_nusd: Mapping[str, int], uncertain: int
) -> None:
    """Write down how a run ended, and what it may have lost on the way, by teacher."""
    values = {"ended_at": utc_now(), "outcome": outcome, "seconds": round(seconds), "uncertain": uncertain}
    connection.execute(update(runs).where(runs.c.id == run_id).values(**values))
    write(connection, [Lost(run_id, nusd, teacher) for teacher, nusd in lost_nusd.items()])


def plan_judged(connection: Connection, plan_id: int, rules: str) -> None:
    """Note that every answered row of a plan was judged by these rules, whoever answered it."""
    latest = select(func.max(runs.c.id)).scalar_subquery()
    values = {"judged_rules": rules, "judged_run": func.coalesce(latest, 0)}
    connection.execute(update(plans).where(plans.c.id == plan_id).values(values))


def forget_other_rules(connection: Connection, plan_id: int, rules: str) -> None:
    """Take back the notes that a plan, or a run of it, was judged by other rules: some of its outcomes are no more."""
    for table, its in ((plans, plans.c.id), (runs, runs.c.plan_id)):
        others = (its == plan_id, table.c.judged_rules != rules)
        connection.execute(update(table).where(*others).values(judged_rules=None))
