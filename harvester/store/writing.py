"""The store's one writer."""

import hashlib
import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, Engine, bindparam, exists, func, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError

from harvester.errors import StoreUnusable
from harvester.records import Json, Request, Seed, canonical, digest
from harvester.store.engine import explain, writing_engine
from harvester.store.events import Event, HandedOut, Judged, Lost, Replied, Unanswered
from harvester.store.lock import sole_writer
from harvester.store.schema import (
    ANSWERED,
    EXHAUSTED,
    FAILED,
    PENDING,
    outcomes,
    plans,
    replies,
    requests,
    rows,
    runs,
    seeds,
    teachers,
)

CHUNK = 1000
ROW_ID_LENGTH = 32
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


def utc_now() -> str:
    """The wall clock, ISO 8601: for the record only, nothing is paced by it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


class StoreWriter:
    """Writes to one store; made by `open`, used from one thread at a time."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self.path = path
        self.engine = engine

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Take the store for writing; it is made if it is not there.

        Raises:
            StoreUnusable: another process writes to it, or it cannot be written.
        """
        with sole_writer(path):
            engine = writing_engine(path)
            try:
                yield cls(path, engine)
            finally:
                engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self.engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise StoreUnusable(f"{self.path}: {explain(error)}") from error

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
            plan_id = connection.execute(insert(plans).values(**values).returning(plans.c.id)).scalar_one()
            chunk: list[tuple[int, Seed, Sequence[Request]]] = []
            for position, (seed, asked) in enumerate(planned):
                chunk.append((position, seed, asked))
                if len(chunk) == CHUNK:
                    _add_chunk(connection, (plan_id, recipe, step), chunk)
                    chunk.clear()
            _add_chunk(connection, (plan_id, recipe, step), chunk)
        return int(plan_id)

    # --- running

    def teacher_id(self, *, name: str, provider: str, identity: str, terms: Json, price: Json) -> int:
        """The id of a teacher as it is today: another licence or price is another entry."""
        values = {"name": name, "provider": provider, "identity": identity}
        values |= {"terms": _text(terms), "price": _text(price)}
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
                KilledRun(
                    run.id, run.price and json.loads(run.price), _maybe_sent(connection, run.plan_id, run.handed_out)
                )
                for run in found
            ]

    def uncertain(self, recipe: str) -> int:
        """How many requests the recipe's runs that were killed since its last orderly one may have sent in vain."""
        of_recipe = runs.c.recipe == recipe
        orderly = select(func.coalesce(func.max(runs.c.id), 0)).where(of_recipe, runs.c.outcome.in_(ORDERLY))
        query = select(func.coalesce(func.sum(runs.c.uncertain), 0))
        with self._transaction() as connection:
            return int(connection.execute(query.where(of_recipe, runs.c.id > orderly.scalar_subquery())).scalar_one())

    def end_run(self, run_id: int, *, outcome: str, seconds: float = 0, lost_nusd: int = 0, uncertain: int = 0) -> None:
        """Write down how a run ended."""
        values = {
            "ended_at": utc_now(),
            "outcome": outcome,
            "seconds": round(seconds),
            "uncertain": uncertain,
            "lost_nusd": runs.c.lost_nusd + lost_nusd,
        }
        with self._transaction() as connection:
            connection.execute(update(runs).where(runs.c.id == run_id).values(**values))

    def begin_run(self, plan_id: int, recipe: str, price: Json, *, retry_failed: bool = False) -> int:
        """Start a run: what ran out of attempts last time is open again, with `retry_failed` all that failed."""
        reopened = (EXHAUSTED, FAILED) if retry_failed else (EXHAUSTED,)
        with self._transaction() as connection:
            of_plan = requests.c.id.in_(select(rows.c.request_id).where(rows.c.plan_id == plan_id))
            connection.execute(
                update(requests).where(requests.c.state.in_(reopened), of_plan).values(state=PENDING, reason=None)
            )
            values = {"plan_id": plan_id, "recipe": recipe, "price": _text(price), "started_at": utc_now()}
            return int(connection.execute(insert(runs).values(**values).returning(runs.c.id)).scalar_one())

    def pending(self, plan_id: int, *, after: int, limit: int) -> list[Pending]:
        """The plan's next open requests, in order, with ids above `after`."""
        query = (
            select(requests.c.id, requests.c.body)
            .where(requests.c.state == PENDING, requests.c.id > after, _in_plan(plan_id))
            .order_by(requests.c.id)
            .limit(limit)
        )
        with self._transaction() as connection:
            return [Pending(row.id, zlib.decompress(row.body)) for row in connection.execute(query)]

    def count_pending(self, plan_id: int) -> int:
        """How many of the plan's requests are open."""
        query = select(func.count()).select_from(requests).where(requests.c.state == PENDING, _in_plan(plan_id))
        with self._transaction() as connection:
            return int(connection.execute(query).scalar_one())

    def spent_nusd(self) -> int:
        """What the store cost so far, in nano-dollars, with what was lost on the way."""
        with self._transaction() as connection:
            paid = connection.execute(select(func.coalesce(func.sum(replies.c.cost_nusd), 0))).scalar_one()
            lost = connection.execute(select(func.coalesce(func.sum(runs.c.lost_nusd), 0))).scalar_one()
        return int(paid) + int(lost)

    def apply(self, events: Sequence[Event]) -> None:
        """Commit a group of events; when this returns they are on disk."""
        if not events:
            return
        groups: defaultdict[type, list[Event]] = defaultdict(list)
        for event in events:
            groups[type(event)].append(event)
        with self._transaction() as connection:
            for kind, group in groups.items():
                _WRITE[kind](connection, group)


def _text(value: Json) -> str:
    return canonical(value).decode()


def _in_plan(plan_id: int) -> ColumnElement[bool]:
    return exists().where(rows.c.request_id == requests.c.id, rows.c.plan_id == plan_id)


def _maybe_sent(connection: Connection, plan_id: int, handed_out: int) -> list[bytes]:
    query = select(requests.c.body).where(requests.c.state == PENDING, requests.c.id <= handed_out, _in_plan(plan_id))
    return [zlib.decompress(body) for body in connection.execute(query).scalars()]


def _add_chunk(
    connection: Connection, plan: tuple[int, str, str], chunk: Sequence[tuple[int, Seed, Sequence[Request]]]
) -> None:
    if not chunk:
        return
    plan_id, recipe, step = plan
    connection.execute(
        insert(seeds).on_conflict_do_nothing(),
        [{"seed_id": seed.seed_id, "data": _text(seed.data)} for _, seed, _ in chunk],
    )
    asked = [request for _, _, of_seed in chunk for request in of_seed]
    new = [{"key": request.key, "body": zlib.compress(request.body, 1)} for request in asked]
    connection.execute(insert(requests).on_conflict_do_nothing(), new)
    values = [
        {
            "row_id": digest([recipe, step, seed.split, seed.seed_id, sample, request.key])[:ROW_ID_LENGTH],
            "plan_id": plan_id,
            "position": position,
            "step": step,
            "split": seed.split,
            "seed_id": seed.seed_id,
            "sample": sample,
            "reference": None if seed.reference is None else _text(seed.reference),
            "its_key": request.key,
        }
        for position, seed, of_seed in chunk
        for sample, request in enumerate(of_seed)
    ]
    request_id = select(requests.c.id).where(requests.c.key == bindparam("its_key")).scalar_subquery()
    statement = insert(rows).values(request_id=request_id)
    moved = {name: statement.excluded[name] for name in ("plan_id", "position", "reference")}
    connection.execute(statement.on_conflict_do_update(index_elements=["row_id"], set_=moved), values)


def _write_handed_out(connection: Connection, events: Sequence[HandedOut]) -> None:
    last = max(events, key=lambda event: event.request_id)
    connection.execute(update(runs).where(runs.c.id == last.run_id).values(handed_out=last.request_id))


def _write_replied(connection: Connection, events: Sequence[Replied]) -> None:
    now = utc_now()
    connection.execute(
        insert(replies).on_conflict_do_nothing(),  # the first answer stays
        [
            {
                "request_id": event.request_id,
                "teacher_id": event.teacher_id,
                "run_id": event.run_id,
                "raw": zlib.compress(event.raw, 1),
                "sha256": hashlib.sha256(event.raw).digest(),
                "cost_nusd": event.cost_nusd,
                "received_at": now,
            }
            for event in events
        ],
    )
    _set_states(connection, [(event.request_id, ANSWERED, None, event.attempts) for event in events])


def _write_unanswered(connection: Connection, events: Sequence[Unanswered]) -> None:
    _set_states(
        connection,
        [(event.request_id, EXHAUSTED if event.again else FAILED, event.reason, event.attempts) for event in events],
    )


def _set_states(connection: Connection, states: Sequence[tuple[int, str, str | None, int]]) -> None:
    statement = (
        update(requests)
        .where(requests.c.id == bindparam("request_id"))
        .values(
            state=bindparam("to_state"),
            reason=bindparam("why"),
            attempts=requests.c.attempts + bindparam("tried"),
        )
    )
    names = ("request_id", "to_state", "why", "tried")
    connection.execute(statement, [dict(zip(names, state, strict=True)) for state in states])


def _write_lost(connection: Connection, events: Sequence[Lost]) -> None:
    for event in events:
        more = runs.c.lost_nusd + event.cost_nusd
        connection.execute(update(runs).where(runs.c.id == event.run_id).values(lost_nusd=more))


def _write_judged(connection: Connection, events: Sequence[Judged]) -> None:
    statement = insert(outcomes)
    replaced = {name: statement.excluded[name] for name in ("rules", "accepted", "drop_reason")}
    connection.execute(
        statement.on_conflict_do_update(index_elements=["row_id"], set_=replaced),
        [
            {
                "row_id": event.row_id,
                "rules": event.rules,
                "accepted": event.outcome.accepted,
                "drop_reason": event.outcome.drop_reason,
            }
            for event in events
        ],
    )


_WRITE: dict[type, Callable[[Connection, Sequence[Any]], None]] = {
    HandedOut: _write_handed_out,
    Replied: _write_replied,
    Unanswered: _write_unanswered,
    Lost: _write_lost,
    Judged: _write_judged,
}
