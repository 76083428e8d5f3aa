"""Reading a store while another process may be writing to it."""

import json
import sqlite3
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from sqlalchemy import Connection, Engine, Select, func, literal_column, select
from sqlalchemy.exc import DBAPIError

from harvester.records import Json, RuleDigests
from harvester.store.conditions import not_judged_by, unjudged
from harvester.store.counting import Counts, count
from harvester.store.curations import Curation, answered_since, newest
from harvester.store.dictionaries import packing_of
from harvester.store.engine import explained, reading_engine
from harvester.store.naming import row_named
from harvester.store.packing import Packing
from harvester.store.paging import PAGE, chunks
from harvester.store.schema import PENDING, outcomes, plans, replies, requests, rows, runs, seeds
from harvester.store.stored import PackedRow, StoredRow, in_order, legible, raw_replies, rows_query, stored_row

T = TypeVar("T")
CACHE_KIB = 16 * 1024
"""For reading all of a plan: seeds lie in the order of their hashes, and the inner pages of a million fill 4 MB."""


@dataclass(frozen=True, slots=True)
class ToJudge:
    """What of a row its answer is judged by; `seed` is empty where nothing looks at it."""

    request_id: int
    row: int  # id in the table of rows
    step: str
    seed: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class RunState:
    """How a run is or was. Without an end it is under way or was killed: `lock.holder` tells which."""

    run_id: int
    started_at: str  # ISO 8601, UTC
    ended_at: str | None
    outcome: str | None
    progress: Json  # as it last reported


class StoreReader:
    """Reads one store."""

    def __init__(self, engine: Engine, path: Path) -> None:
        """Reads through an engine of the store at `path`."""
        self._engine = engine
        self._path = path

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with explained(self._path), self._engine.connect() as connection, legible(self._path):
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

    @property
    def packing(self) -> Packing:
        """How the store packs requests and replies."""
        with self._reading() as connection:
            return packing_of(connection)

    def current_plan(self, recipe: str) -> int | None:
        """Id of the recipe's newest plan."""
        query = select(func.max(plans.c.id)).where(plans.c.recipe == recipe)
        with self._reading() as connection:
            return connection.execute(query).scalar()

    def rows(self, plan_id: int) -> Generator[StoredRow]:
        """Every row of a plan, in the order of its seeds and samples, streamed."""
        return self._stream(in_order(plan_id))

    def packed_rows(self, plan_id: int) -> Generator[PackedRow]:
        """As `rows`, without looking at them: `stored_row` does, maybe in another process."""
        with self._reading() as connection:
            connection.exec_driver_sql(f"PRAGMA cache_size=-{CACHE_KIB}")
            # The driver's own rows: SQLAlchemy's take a fifth of the time of reading.
            cursor = connection.execute(in_order(plan_id)).cursor
            try:
                while page := cursor.fetchmany(PAGE):
                    yield from page
            except sqlite3.Error as error:
                raise DBAPIError(None, None, error) from error

    def to_judge(self, plan_id: int, request_ids: Sequence[int], *, with_seeds: bool) -> list[ToJudge]:
        """The rows that share these requests; with their seeds, where the rules look at them."""
        data = seeds.c.data if with_seeds else literal_column("'{}'")
        query = select(rows.c.request_id, rows.c.id, rows.c.step, data)
        if with_seeds:
            query = query.join(seeds, seeds.c.seed_id == rows.c.seed_id)
        query = query.where(rows.c.plan_id == plan_id)
        with self._reading() as connection:
            found = [
                row
                for some in chunks(request_ids)
                for row in connection.execute(query.where(rows.c.request_id.in_(some)))
            ]
            return [ToJudge(request_id, row, step, json.loads(data)) for request_id, row, step, data in found]

    def raw_replies(self, request_ids: Sequence[int]) -> dict[int, bytes]:
        """Request → its reply's bytes, for those that have one."""
        with self._reading() as connection:
            return raw_replies(connection, request_ids)

    def unjudged(self, plan_id: int, rules: RuleDigests) -> Iterator[StoredRow]:
        """Rows whose reply was never judged, or by other rules; what is known to be judged is not looked at."""
        yield from self._stream(rows_query(answered=True).where(*unjudged(plan_id, rules)))

    def unjudged_children(self, plan_id: int, rules: RuleDigests) -> Iterator[StoredRow]:
        """Rows that were made from others, whose requests were answered before, and that nobody has judged by rules."""
        of_plan = (rows.c.plan_id == plan_id, rows.c.parent.is_not(None))
        yield from self._stream(rows_query(answered=True).where(*of_plan, not_judged_by(rules)))

    def count_unjudged(self, plan_id: int, rules: RuleDigests) -> int:
        """How many rows `unjudged` would give."""
        query = (
            select(func.count())
            .select_from(rows)
            .join(replies, replies.c.request_id == rows.c.request_id)
            .outerjoin(outcomes, outcomes.c.id == rows.c.id)
            .where(*unjudged(plan_id, rules))
        )
        with self._reading() as connection:
            return int(connection.execute(query).scalar_one())

    def of_step(self, plan_id: int, step: str) -> Iterator[StoredRow]:
        """The rows of one step whose requests have come to an end, with or without a reply."""
        of_step = (rows.c.plan_id == plan_id, rows.c.step == step, requests.c.state != PENDING)
        yield from self._stream(rows_query().where(*of_step))

    def answered(self, plan_id: int) -> Iterator[StoredRow]:
        """Rows that have a reply."""
        yield from self._stream(rows_query(answered=True).where(rows.c.plan_id == plan_id))

    def _stream(self, query: Select[tuple[object, ...]]) -> Generator[StoredRow]:
        with self._reading() as connection:
            packing = packing_of(connection)
            for page in connection.execute(query).partitions(PAGE):
                yield from (stored_row(row, packing) for row in page)

    def seeds_of(
        self, plan_id: int, asked: Sequence[str], accepted: Sequence[str], *, limit: int
    ) -> tuple[list[Mapping[str, Json]], list[Mapping[str, Json]]]:
        """The seeds of the newest rows of train that have come to an end, and of what was accepted of these.

        Args:
            plan_id: whose rows.
            asked: the steps that read the seeds.
            accepted: the steps whose accepted rows count.
            limit: how many of the newest rows of `asked` say which positions are looked at, each as a whole.
        """
        of_plan = (rows.c.plan_id == plan_id, rows.c.split == "train")
        ended = (*of_plan, rows.c.step.in_(asked), requests.c.state != PENDING)
        positions = select(rows.c.position).join(requests, requests.c.id == rows.c.request_id).where(*ended)
        same = rows.c.position.in_(positions.order_by(rows.c.id.desc()).limit(limit).scalar_subquery())
        query = select(seeds.c.data).join(rows, rows.c.seed_id == seeds.c.seed_id)
        queries = (
            query.join(requests, requests.c.id == rows.c.request_id).where(*ended, same),
            query.join(outcomes, outcomes.c.id == rows.c.id).where(
                *of_plan, rows.c.step.in_(accepted), outcomes.c.accepted, same
            ),
        )
        with self._reading() as connection:
            of_asked, of_accepted = ([json.loads(data) for data in connection.scalars(one)] for one in queries)
            return of_asked, of_accepted

    def accepted_replies(self, plan_id: int, steps: Sequence[str], *, limit: int) -> list[bytes]:
        """The newest accepted replies of train of these steps."""
        query = rows_query(answered=True).where(rows.c.plan_id == plan_id, rows.c.step.in_(steps))
        query = query.where(rows.c.split == "train", outcomes.c.accepted).order_by(rows.c.id.desc()).limit(limit)
        return [row.reply.raw for row in self._stream(query) if row.reply]

    def counts(self, plan_id: int) -> Counts:
        """Totals for `status`."""
        with self._reading() as connection:
            return count(connection, plan_id)

    def read(self, query: Callable[[Connection], T]) -> T:
        """What a query of another module finds."""
        with self._reading() as connection:
            return query(connection)

    def row_named(self, beginning: str) -> tuple[str, str, str]:
        """(row_id, step, split) of the one row whose row_id begins so.

        Raises:
            BadInput: no row does, or several do.
        """
        with self._reading() as connection:
            found = row_named(connection, self._path, beginning)
            return found.row_id, found.step, found.split

    def of_same_seed(self, plan_id: int, row_id: str) -> list[StoredRow]:
        """A plan's rows that were made from the same seed as a row, which may be of another plan; in their order."""
        seed_ids = select(rows.c.seed_id).where(rows.c.row_id == row_id)
        of_plan = rows.c.plan_id == plan_id
        positions = select(rows.c.position).where(of_plan, rows.c.seed_id.in_(seed_ids))
        return list(self._stream(in_order(plan_id).where(rows.c.position.in_(positions))))

    def curation(self, recipe: str) -> Curation | None:
        """The recipe's newest curation."""
        with self._reading() as connection:
            return newest(connection, recipe)

    def answered_since(self, plan_id: int, steps: Sequence[str], made_at: str) -> int:
        """How many rows of train and dev of a plan's steps were answered after a curation."""
        with self._reading() as connection:
            return answered_since(connection, plan_id, steps, made_at)

    def last_run(self, recipe: str) -> RunState | None:
        """The recipe's latest run."""
        query = select(runs).where(runs.c.recipe == recipe).order_by(runs.c.id.desc()).limit(1)
        with self._reading() as connection:
            run = connection.execute(query).first()
        if run is None:
            return None
        progress = None if run.progress is None else json.loads(run.progress)
        return RunState(run.id, run.started_at, run.ended_at, run.outcome, progress)
