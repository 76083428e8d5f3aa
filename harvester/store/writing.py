"""The store's one writer."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

from sqlalchemy import Connection, Engine, func, select, update
from sqlalchemy.dialects.sqlite import insert

from harvester.records import Json, digest
from harvester.store import curations, pending
from harvester.store import runs as runs_of
from harvester.store.applying import utc_now, write
from harvester.store.curations import Dropped
from harvester.store.engine import explained, writing_engine
from harvester.store.events import TEACHER, Event, Judged, Replied, Unanswered
from harvester.store.lock import sole_writer
from harvester.store.mark import Mark
from harvester.store.pending import Pending
from harvester.store.plans import New, Planned, add_rows, as_text
from harvester.store.runs import DONE, KILLED, ORDERLY, STOPPED, KilledRun
from harvester.store.schema import plans, requests, runs, spending, teachers

__all__ = ["DONE", "KILLED", "ORDERLY", "STOPPED", "KilledRun", "Pending", "StoreWriter"]

T = TypeVar("T")


def _nothing(_: Connection) -> object: ...


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

    def add_plan(self, recipe: str, fingerprint: str, text: str, planned: Iterable[New]) -> int:
        """Store what a plan asks about its seeds, in one transaction, and return its id.

        Requests that are known already keep their state and their reply; only new keys will be asked.
        """
        with self._transaction() as connection:
            values = {"recipe": recipe, "fingerprint": fingerprint, "recipe_text": text, "created_at": utc_now()}
            plan_id = int(connection.execute(insert(plans).values(**values).returning(plans.c.id)).scalar_one())
            add_rows(connection, Planned(plan_id, recipe), planned)
        return plan_id

    # --- curating

    def keep_curation(self, recipe: str, settings: Json, looked_at: int, found: Mapping[int, Dropped | None]) -> None:
        """Put what a curation found in the place of the recipe's last one, in one transaction.

        Args:
            recipe: its name.
            settings: by which it was looked.
            looked_at: how many answers.
            found: row → what is against it, or None for one that would be written and stays.
        """
        with self._transaction() as connection:
            curations.replace(connection, recipe, settings, looked_at, found)

    def forget_curation(self, recipe: str) -> int:
        """Take back every drop of the recipe's curation; returns how many there were."""
        with self._transaction() as connection:
            return curations.forget(connection, recipe)

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

    def same_provider(self, one: int, other: int) -> bool:
        """Whether two entries of teachers are of one address, whatever their terms and prices are."""
        query = select(teachers.c.identity).where(teachers.c.id.in_([one, other])).distinct()
        with self._transaction() as connection:
            return len(connection.execute(query).all()) == 1

    def killed_runs(self) -> list[KilledRun]:
        """Every run that never ended, with what it may have sent and has no answer to."""
        with self._transaction() as connection:
            return runs_of.killed(connection, self.mark, self.path)

    def uncertain(self, recipe: str) -> int:
        """How many requests the recipe's runs that were killed since its last orderly one may have sent in vain."""
        with self._transaction() as connection:
            return runs_of.uncertain(connection, recipe)

    def end_run(
        self,
        run_id: int,
        *,
        outcome: str,
        seconds: float = 0,
        lost_nusd: Mapping[str, int] | None = None,
        uncertain: int = 0,
    ) -> None:
        """Write down how a run ended, and what it may have lost on the way, by teacher."""
        with self._transaction() as connection:
            runs_of.end(connection, run_id, outcome, seconds=seconds, lost_nusd=lost_nusd or {}, uncertain=uncertain)

    def begin_run(
        self, plan_id: int, recipe: str, prices: Json, *, retry_failed: bool = False, reopen: bool = True
    ) -> int:
        """Start a run: what ran out of attempts last time is open again, with `retry_failed` all that failed.

        Args:
            plan_id: what it runs.
            recipe: the recipe's name.
            prices: of each teacher, by name; what its requests cost, should it be killed.
            retry_failed: as said.
            reopen: false where it asks nothing, and only takes in what was asked before.
        """
        with self._transaction() as connection:
            if reopen:
                runs_of.reopen(connection, plan_id, retry_failed=retry_failed)
            run_id = runs_of.begin(connection, plan_id, recipe, prices)
            self.mark.begin(run_id)
        return run_id

    def pending(
        self,
        plan_id: int,
        *,
        after: int,
        limit: int,
        teacher: str = TEACHER,
        held_out: bool = False,
        of_batches: bool | None = None,
    ) -> list[Pending]:
        """The next open requests that the plan asks of a teacher, in order, with ids above `after`.

        With `held_out`, those of dev and test alone; `of_batches`: only what batches left over, or what they did not.
        """
        query = pending.pending_query(plan_id, teacher, held_out=held_out, of_batches=of_batches)
        query = query.where(requests.c.id > after)
        with self._transaction() as connection:
            return list(pending.found(connection, query.order_by(requests.c.id).limit(limit), self.path))

    def count_pending(self, plan_id: int, *, held_out: bool = False) -> int:
        """How many of the plan's requests are open; with `held_out`, of those of dev and test alone."""
        with self._transaction() as connection:
            return pending.count(connection, plan_id, held_out=held_out)

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

    def plan_rules(self, plan_id: int) -> str | None:
        """The rules by which every answered row of a plan was once found judged; None where that was never so."""
        with self._transaction() as connection:
            found: str | None = connection.execute(
                select(plans.c.judged_rules).where(plans.c.id == plan_id)
            ).scalar_one()
        return found

    def plan_judged(self, plan_id: int, rules: str) -> None:
        """Note that every answered row of a plan was judged by these rules, whoever answered it."""
        with self._transaction() as connection:
            runs_of.plan_judged(connection, plan_id, rules)

    def apply_judged(
        self,
        plan_id: int,
        rules: str,
        judged: Sequence[Judged],
        then: Callable[[Connection], object] = _nothing,
    ) -> None:
        """Commit outcomes of a plan by these rules; in the same commit it forgets that others judged all of it.

        Args:
            plan_id: whose rows.
            rules: digest of those of all steps together.
            judged: the outcomes.
            then: called once they are written, on the same connection.
        """
        if judged:
            self.apply_with(
                judged, then, first=lambda connection: runs_of.forget_other_rules(connection, plan_id, rules)
            )

    def apply(self, events: Sequence[Event]) -> None:
        """Commit a group of events; when this returns they are on disk."""
        if events:
            self.apply_with(events, lambda _: None)

    def apply_with(
        self,
        events: Sequence[Event],
        then: Callable[[Connection], T],
        *,
        first: Callable[[Connection], object] = _nothing,
    ) -> T:
        """Commit a group of events together with what `then` does on the same connection; returns what that returns.

        Args:
            events: the group.
            then: called once they are written.
            first: called before.
        """
        with self._transaction() as connection:
            first(connection)
            write(connection, events)
            done = then(connection)
            out = {"outstanding": as_text(self.mark.outstanding)}
            connection.execute(update(runs).where(runs.c.id == self.mark.run_id).values(out))
        self.mark.settled(event.request_id for event in events if isinstance(event, Replied | Unanswered))
        return done
