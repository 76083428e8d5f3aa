"""What runs and `status` ask of a store is answered from indexes, however many rows are answered already."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from harvester.store import StoreReader, StoreWriter, batches, pending

from toy_store import DIGESTS, add_plan, begin, replied  # isort: skip - a helper beside the tests


@contextmanager
def query_plans(store: StoreWriter) -> Iterator[list[str]]:
    """SQLite's plan of every statement in the context, a line per step."""
    steps: list[str] = []

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if statement.startswith(("SELECT", "UPDATE", "INSERT")):
            raw = connection.connection.driver_connection
            one = parameters[0] if many else parameters
            steps.extend(row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", one))

    event.listen(store.engine, "after_cursor_execute", explain)
    try:
        yield steps
    finally:
        event.remove(store.engine, "after_cursor_execute", explain)


RUNNING: dict[str, Callable[[StoreWriter, StoreReader], object]] = {
    "pending": lambda store, _: store.pending(1, after=0, limit=5),
    "count_pending": lambda store, _: store.count_pending(1),
    "pending_of_batches": lambda store, _: store.pending(1, after=0, limit=5, of_batches=True),
    "pending_of_no_batch": lambda store, _: store.pending(1, after=0, limit=5, of_batches=False),
    "count_of_teacher": lambda store, _: store.apply_with(
        [], lambda c: pending.count_of_teacher(c, 1, "teacher", of_batches=None)
    ),
    "waiting_in_batches": lambda store, _: store.apply_with([], lambda c: batches.count_waiting(c, 1)),
    "pending_held_out": lambda store, _: store.pending(1, after=0, limit=5, held_out=True),
    "count_held_out": lambda store, _: store.count_pending(1, held_out=True),
    "members_of_a_batch": lambda store, _: store.apply_with([], lambda c: list(batches.members(c, 1))),
    "members_by_key": lambda _, reader: reader.read(lambda c: batches.members_named(c, ["a", "b"])),
    "begin_run": lambda store, _: begin(store, 1),
    "retry_failed": lambda store, _: store.begin_run(1, "toy", None, retry_failed=True),
    "killed_runs": lambda store, _: store.killed_runs(),
    "uncertain": lambda store, _: store.uncertain("toy"),
    "spent": lambda store, _: store.spent_nusd(run_id=1),
    "apply": lambda store, _: store.apply([replied(store, 1, 2)]),
    "unjudged": lambda _, reader: list(reader.unjudged(1, DIGESTS)),
    "count_unjudged": lambda _, reader: reader.count_unjudged(1, DIGESTS),
    "to_judge": lambda _, reader: reader.to_judge(1, [1, 2], with_seeds=True),
}


@pytest.mark.parametrize("name", RUNNING)
def test_a_run_scans_no_table_that_grows_with_the_seeds(tmp_path: Path, name: str) -> None:
    with StoreWriter.open(tmp_path / "harvest.db") as store:
        store.apply([replied(store, begin(store, add_plan(store)), 1)])
        store.mark.hand_out(2)
        with query_plans(store) as steps:
            RUNNING[name](store, StoreReader(store.engine, store.path))
        assert steps
        for step in steps:
            assert not step.startswith(("SCAN requests", "SCAN rows", "SCAN replies", "SCAN seeds", "SCAN outcomes"))
            assert "rows_in_order" not in step, "it would read the plan's every row"


OPEN = ["pending", "pending_of_batches", "count_of_teacher", "count_pending", "pending_held_out", "count_held_out"]


@pytest.mark.parametrize("name", [*OPEN, "begin_run", "retry_failed"])
def test_open_requests_are_found_without_a_look_at_the_answered_ones(tmp_path: Path, name: str) -> None:
    with StoreWriter.open(tmp_path / "harvest.db") as store:
        begin(store, add_plan(store))
        with query_plans(store) as steps:
            RUNNING[name](store, StoreReader(store.engine, store.path))
        assert any("INDEX requests_open (state=?" in step for step in steps), steps


def test_status_looks_at_no_answered_request_one_by_one(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path / "harvest.db") as store:
        add_plan(store)
        with query_plans(store) as steps:
            StoreReader(store.engine, store.path).counts(1)
        of_requests = [step for step in steps if step.split()[1] == "requests"]
        assert of_requests == ["SCAN requests USING INDEX requests_open"]
        assert "SCAN rows USING COVERING INDEX rows_of_request" in steps
        assert not any(step.split()[1] == "replies" and "COVERING" not in step for step in steps), steps
