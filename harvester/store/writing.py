"""The store's one writer."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Engine, Row, func, select, update
from sqlalchemy.dialects.sqlite import insert

from harvester.records import Json, Request, Seed, digest
from harvester.store.applying import utc_now, write
from harvester.store.conditions import in_plan
from harvester.store.engine import explained, writing_engine
from harvester.store.events import TEACHER, Event, Lost
from harvester.store.lock import sole_writer
from harvester.store.mark import Mark
from harvester.store.plans import Planned, add_rows, as_text
from harvester.store.reading import inflated
from harvester.store.schema import EXHAUSTED, FAILED, OPEN, PENDING, plans, requests, runs, spending, teachers

DONE, STOPPED, KILLED = "done", "stopped", "killed"
ORDERLY = (DONE, STOPPED)
"""Outcomes of a run; a killed one is closed by the next."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A planned request that has no answer yet."""

    request_id: int
    body: bytes


@dataclass(frozen=True, slots=True)
class KilledRun:
    """A run that never ended: at most `bodies` were sent without an answer, at its price (JSON, as `Price`)."""

    run_id: int
    price: Json
    bodies: list[bytes]


class StoreWriter:
    """Writes to one store; made by `open`, used from one thread at a time."""

    def __init__(self, path: Path, engine: Engine, mark: Mark) -> None:
        self.path = path
        self.engine = engine
        self.mark = mark

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Take the store for writing; it is made if it is not there.

        Raises:
            StoreUnusable: another process writes to it, or it cannot be written.
        """
        with sole_writer(path), Mark.beside(path) as mark:
            engine = writing_engine(path)
            try:
                yield cls(path, engine, mark)
            finally:
                engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with explained(self.path), self.engine.begin() as connection:
            yield connection

    # --- planning

    def current_plan(self, recipe: str) -> tuple[int, str] | None:
        """(id, fingerprint) of the recipe's newest plan."""
        query = select(plans.c.id, plans.c.fingerprint).where(plans.c.recipe == recipe).order_by(plans.c.id.desc())
        with self._transaction() as connection:
            row = connection.execute(query.limit(1)).first()
        return (row.id, row.fingerprint) if row else None

    def add_plan(
        self, recipe: str, step: str, fingerprint: str, text: str, planned: Iterable[tuple[Seed, Sequence[Request]]]
    ) -> int:
        """Store a whole plan in one transaction and return its id.

        Requests that are known already keep their state and their reply; only new keys will be asked.
        """
        with self._transaction() as connection:
            values = {"recipe": recipe, "fingerprint": fingerprint, "recipe_text": text, "created_at": utc_now()}
            plan_id = int(connection.execute(insert(plans).values(**values).returning(plans.c.id)).scalar_one())
            add_rows(connection, Planned(plan_id, recipe, step), planned)
        return plan_id

    # --- running

    def teacher_id(self, *, name: str, provider: str, identity: str, terms: Json, price: Json) -> int:
        """The id of a teacher as it is today: another licence or price is another entry."""
        values = {"name": name, "provider": provider, "identity": identity}
        values |= {"terms": as_text(terms), "price": as_text(price)}
        fingerprint = digest(values)
        with self._transaction() as connection:
            connection.execute(insert(teachers).values(fingerprint=fingerprint, **values).on_conflict_do_nothing())
            query = select(teachers.c.id).where(teachers.c.fingerprint == fingerprint)
            return int(connection.execute(query).scalar_one())

    def killed_runs(self) -> list[KilledRun]:
        """Every run that never ended, with what it may have sent and has no answer to."""
        with self._transaction() as connection:
            found = connection.execute(select(runs).where(runs.c.ended_at.is_(None))).all()
            return [
                KilledRun(run.id, run.price and json.loads(run.price), self._maybe_sent(connection, run))
                for run in found
            ]

    def _maybe_sent(self, connection: Connection, run: Row[Any]) -> list[bytes]:
        handed_out = max(run.handed_out, self.mark.of(run.id))
        sent = (OPEN, requests.c.state == PENDING, requests.c.id <= handed_out, in_plan(run.plan_id))
        query = select(requests.c.id, requests.c.body).where(*sent)
        return [inflated(row.body, f"{self.path}: request {row.id}") for row in connection.execute(query)]

    def uncertain(self, recipe: str) -> int:
        """How many requests the recipe's runs that were killed since its last orderly one may have sent in vain."""
        of_recipe = runs.c.recipe == recipe
        orderly = select(func.coalesce(func.max(runs.c.id), 0)).where(of_recipe, runs.c.outcome.in_(ORDERLY))
        query = select(func.coalesce(func.sum(runs.c.uncertain), 0))
        with self._transaction() as connection:
            return int(connection.execute(query.where(of_recipe, runs.c.id > orderly.scalar_subquery())).scalar_one())

    def end_run(
        self,
        run_id: int,
        *,
        outcome: str,
        seconds: float = 0,
        lost_nusd: int = 0,
        uncertain: int = 0,
        teacher: str = TEACHER,
    ) -> None:
        """Write down how a run ended, and what it may have lost on the way."""
        values = {"ended_at": utc_now(), "outcome": outcome, "seconds": round(seconds), "uncertain": uncertain}
        with self._transaction() as connection:
            connection.execute(update(runs).where(runs.c.id == run_id).values(**values))
            if lost_nusd:
                write(connection, [Lost(run_id, lost_nusd, teacher)])

    def begin_run(self, plan_id: int, recipe: str, price: Json, *, retry_failed: bool = False) -> int:
        """Start a run: what ran out of attempts last time is open again, with `retry_failed` all that failed."""
        reopened = (EXHAUSTED, FAILED) if retry_failed else (EXHAUSTED,)
        with self._transaction() as connection:
            again = (OPEN, requests.c.state.in_(reopened), in_plan(plan_id))
            connection.execute(update(requests).where(*again).values(state=PENDING, reason=None))
            values = {"plan_id": plan_id, "recipe": recipe, "price": as_text(price), "started_at": utc_now()}
            run_id = int(connection.execute(insert(runs).values(**values).returning(runs.c.id)).scalar_one())
            self.mark.move(run_id, 0)
        return run_id

    def pending(self, plan_id: int, *, after: int, limit: int) -> list[Pending]:
        """The plan's next open requests, in order, with ids above `after`."""
        query = (
            select(requests.c.id, requests.c.body)
            .where(OPEN, requests.c.state == PENDING, requests.c.id > after, in_plan(plan_id))
            .order_by(requests.c.id)
            .limit(limit)
        )
        with self._transaction() as connection:
            return [
                Pending(row.id, inflated(row.body, f"{self.path}: request {row.id}"))
                for row in connection.execute(query)
            ]

    def count_pending(self, plan_id: int) -> int:
        """How many of the plan's requests are open."""
        is_open = (OPEN, requests.c.state == PENDING, in_plan(plan_id))
        query = select(func.count()).select_from(requests).where(*is_open)
        with self._transaction() as connection:
            return int(connection.execute(query).scalar_one())

    def spent_nusd(self, *, teacher: str | None = None, run_id: int | None = None) -> int:
        """What the store cost so far, in nano-dollars, with what was lost on the way; of one teacher, of one run."""
        query = select(func.coalesce(func.sum(spending.c.answered_nusd + spending.c.lost_nusd), 0))
        if teacher is not None:
            query = query.where(spending.c.teacher == teacher)
        if run_id is not None:
            query = query.where(spending.c.run_id == run_id)
        with self._transaction() as connection:
            return int(connection.execute(query).scalar_one())

    def all_judged(self, run_id: int, rules: str) -> None:
        """Note that every row of its plan that a run answered was judged by these rules."""
        with self._transaction() as connection:
            connection.execute(update(runs).where(runs.c.id == run_id).values(judged_rules=rules))

    def plan_judged(self, plan_id: int, rules: str) -> None:
        """Note that every answered row of a plan was judged by these rules, whoever answered it."""
        latest = select(func.max(runs.c.id)).scalar_subquery()
        values = {"judged_rules": rules, "judged_run": func.coalesce(latest, 0)}
        with self._transaction() as connection:
            connection.execute(update(plans).where(plans.c.id == plan_id).values(values))

    def apply(self, events: Sequence[Event]) -> None:
        """Commit a group of events; when this returns they are on disk."""
        if events:
            with self._transaction() as connection:
                write(connection, events)
                handed_out = {"handed_out": self.mark.request_id}
                connection.execute(update(runs).where(runs.c.id == self.mark.run_id).values(handed_out))
