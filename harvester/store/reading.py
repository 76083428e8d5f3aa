"""Reading a store while another process may be writing to it."""

import json
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, and_, func, or_, select

from harvester.errors import StoreUnusable
from harvester.records import Json, Outcome
from harvester.store.engine import explained, reading_engine
from harvester.store.schema import outcomes, plans, replies, requests, rows, runs, seeds, teachers

PAGE = 1000


@dataclass(frozen=True, slots=True)
class StoredReply:
    """A reply as it was stored, with the teacher as it was that day."""

    raw: bytes
    cost_nusd: int
    received_at: str
    teacher: str
    provider: str
    terms: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One row of a plan: its seed and sample, its request, and its reply where there is one."""

    row_id: str
    request_key: str
    request_body: bytes
    state: str
    reason: str | None
    step: str
    split: str
    position: int
    seed_id: str
    seed: Mapping[str, Json]
    reference: Json
    sample: int
    reply: StoredReply | None
    rules: str | None  # digest of the rules behind `outcome`
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Counts:
    """What a store holds of one recipe."""

    requests: Mapping[str, int]  # by state
    rows: Mapping[str, int]  # by split
    judged: Mapping[tuple[str, bool, str | None], int]  # (split, accepted, drop reason)
    failures: Mapping[str, int]  # reason → requests
    spent_nusd: int
    minutes: float  # of collecting


class StoreReader:
    """Reads one store."""

    def __init__(self, engine: Engine, path: Path) -> None:
        """Reads through an engine of the store at `path`."""
        self._engine = engine
        self._path = path

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with explained(self._path), self._engine.connect() as connection:
            yield connection

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Open a store that cannot be written through this object.

        Raises:
            StoreUnusable: no such store, not a database, or of another schema.
        """
        engine = reading_engine(path)
        try:
            yield cls(engine, path)
        finally:
            engine.dispose()

    def current_plan(self, recipe: str) -> int | None:
        """Id of the recipe's newest plan."""
        query = select(func.max(plans.c.id)).where(plans.c.recipe == recipe)
        with self._reading() as connection:
            return connection.execute(query).scalar()

    def rows(self, plan_id: int) -> Generator[StoredRow]:
        """Every row of a plan, in the order of its seeds and samples, streamed."""
        return self._stream(_rows_query().where(rows.c.plan_id == plan_id).order_by(rows.c.position, rows.c.sample))

    def rows_of_requests(self, plan_id: int, request_ids: Sequence[int]) -> list[StoredRow]:
        """The rows that share these requests."""
        query = _rows_query().where(rows.c.plan_id == plan_id, rows.c.request_id.in_(request_ids))
        with self._reading() as connection:
            return [_stored_row(row) for row in connection.execute(query)]

    def unjudged(self, plan_id: int, rules: str) -> Iterator[StoredRow]:
        """Rows whose reply was never judged, or by other rules."""
        yield from self._stream(_rows_query().where(_answered(plan_id), _stale(rules)))

    def count_unjudged(self, plan_id: int, rules: str) -> int:
        """How many rows `unjudged` would give."""
        query = (
            select(func.count())
            .select_from(rows)
            .join(replies, replies.c.request_id == rows.c.request_id)
            .outerjoin(outcomes, outcomes.c.row_id == rows.c.row_id)
            .where(rows.c.plan_id == plan_id, _stale(rules))
        )
        with self._reading() as connection:
            return int(connection.execute(query).scalar_one())

    def answered(self, plan_id: int) -> Iterator[StoredRow]:
        """Rows that have a reply."""
        yield from self._stream(_rows_query().where(_answered(plan_id)))

    def _stream(self, query: Select[tuple[object, ...]]) -> Generator[StoredRow]:
        with self._reading() as connection:
            for page in connection.execute(query).partitions(PAGE):
                yield from map(_stored_row, page)

    def counts(self, plan_id: int) -> Counts:
        """Totals for `status`."""
        of_plan = requests.c.id.in_(select(rows.c.request_id).where(rows.c.plan_id == plan_id))
        states = select(requests.c.state, func.count()).where(of_plan).group_by(requests.c.state)
        splits = select(rows.c.split, func.count()).where(rows.c.plan_id == plan_id).group_by(rows.c.split)
        by_outcome = (rows.c.split, outcomes.c.accepted, outcomes.c.drop_reason)
        judged = (
            select(*by_outcome, func.count())
            .join(outcomes, outcomes.c.row_id == rows.c.row_id)
            .where(rows.c.plan_id == plan_id)
            .group_by(*by_outcome)
        )
        failures = (
            select(requests.c.reason, func.count())
            .where(of_plan, requests.c.reason.is_not(None))
            .group_by(requests.c.reason)
        )
        with self._reading() as connection:
            paid = connection.execute(select(func.coalesce(func.sum(replies.c.cost_nusd), 0))).scalar_one()
            lost = connection.execute(select(func.coalesce(func.sum(runs.c.lost_nusd), 0))).scalar_one()
            seconds = connection.execute(select(func.coalesce(func.sum(runs.c.seconds), 0))).scalar_one()
            return Counts(
                requests=dict(connection.execute(states).all()),
                rows=dict(connection.execute(splits).all()),
                judged={(split, bool(ok), why): count for split, ok, why, count in connection.execute(judged)},
                failures=dict(connection.execute(failures).all()),
                spent_nusd=int(paid) + int(lost),
                minutes=round(seconds / 60, 2),
            )


def _stale(rules: str) -> ColumnElement[bool]:
    return or_(outcomes.c.rules.is_(None), outcomes.c.rules != rules)


def _answered(plan_id: int) -> ColumnElement[bool]:
    return and_(rows.c.plan_id == plan_id, replies.c.request_id.is_not(None))


def _rows_query() -> Select[tuple[object, ...]]:
    return (
        select(
            rows.c.row_id, rows.c.step, rows.c.split, rows.c.position, rows.c.sample, rows.c.seed_id,
            seeds.c.data, rows.c.reference,
            requests.c.key, requests.c.body, requests.c.state, requests.c.reason,
            replies.c.raw, replies.c.cost_nusd, replies.c.received_at,
            teachers.c.name, teachers.c.provider, teachers.c.terms,
            outcomes.c.rules, outcomes.c.accepted, outcomes.c.drop_reason,
        )
        .join(seeds, seeds.c.seed_id == rows.c.seed_id)
        .join(requests, requests.c.id == rows.c.request_id)
        .outerjoin(replies, replies.c.request_id == requests.c.id)
        .outerjoin(teachers, teachers.c.id == replies.c.teacher_id)
        .outerjoin(outcomes, outcomes.c.row_id == rows.c.row_id)
    )  # fmt: skip


def _inflated(blob: bytes, what: str) -> bytes:
    try:
        return zlib.decompress(blob)
    except zlib.error as error:
        raise StoreUnusable(f"{what} is damaged ({error}); `harvester verify` lists all of it") from error


def _stored_row(row: Row[tuple[object, ...]]) -> StoredRow:
    reply = None
    if row.raw is not None:
        terms = json.loads(row.terms)
        raw = _inflated(row.raw, f"the reply to request {row.key}")
        reply = StoredReply(raw, row.cost_nusd, row.received_at, row.name, row.provider, terms)
    return StoredRow(
        row_id=row.row_id,
        request_key=row.key,
        request_body=_inflated(row.body, f"request {row.key}"),
        state=row.state,
        reason=row.reason,
        step=row.step,
        split=row.split,
        position=row.position,
        seed_id=row.seed_id,
        seed=json.loads(row.data),
        reference=None if row.reference is None else json.loads(row.reference),
        sample=row.sample,
        reply=reply,
        rules=row.rules,
        outcome=None if row.rules is None else Outcome(bool(row.accepted), row.drop_reason),
    )
