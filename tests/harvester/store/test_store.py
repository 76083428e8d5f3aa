"""The store: one writer, durable groups, schemas, and what its errors say."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harvester.errors import StoreUnusable
from harvester.records import Asked, Origin, Request, Seed
from harvester.store import StoreReader, StoreWriter
from harvester.store.events import Event, Replied
from harvester.store.journal import Journal
from harvester.store.packing import deflated
from harvester.store.schema import REVISIONS, metadata

from toy_store import Looking, add_plan, begin  # isort: skip - a helper beside the tests


def teacher(store: StoreWriter) -> int:
    terms = {"id": "x", "verdict": "allowed"}
    return store.teacher_id(name="teacher", provider="p", identity="i", terms=terms, price=None)


def reply(store: StoreWriter, run_id: int, request_id: int, raw: bytes = b"raw") -> Replied:
    return Replied(request_id, teacher(store), run_id, raw, cost_nusd=5, attempts=1)


HOLD = """
import sys, pathlib
from harvester.store import StoreWriter
with StoreWriter.open(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(path: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_fault_05_a_second_writer_is_refused_and_told_who_holds_the_store(path: Path) -> None:
    holder = hold(path)
    try:
        with pytest.raises(StoreUnusable, match=f"in use by process {holder.pid} on "), StoreWriter.open(path):
            pass
        with StoreReader.open(path) as reader:
            assert reader.current_plan("toy") is None  # readers are welcome
    finally:
        holder.communicate()


def test_two_names_of_one_store_are_one_store(path: Path, tmp_path: Path) -> None:
    holder = hold(path)
    try:
        (tmp_path / "link.db").symlink_to(path)
        with pytest.raises(StoreUnusable, match="in use by process"), StoreWriter.open(tmp_path / "link.db"):
            pass
    finally:
        holder.communicate()


def test_a_killed_writers_lock_dies_with_it_though_its_file_stays(path: Path) -> None:
    holder = hold(path)
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    assert path.with_name("harvest.db.lock").exists()
    with StoreWriter.open(path) as store:
        assert store.current_plan("toy") is None


def test_a_new_plan_keeps_the_replies_of_the_old_one(path: Path) -> None:
    with StoreWriter.open(path) as store:
        plan = add_plan(store)
        run = begin(store, plan)
        store.apply([reply(store, run, 1)])
        second = add_plan(store, count=4, fingerprint="g")
        assert store.count_pending(second) == 3
        with StoreReader.open(path) as reader:
            assert [row.reply is not None for row in reader.rows(second)] == [True, False, False, False]


def test_the_first_answer_to_a_request_stays(path: Path) -> None:
    with StoreWriter.open(path) as store:
        run = begin(store, add_plan(store))
        store.apply([reply(store, run, 1, b"first")])
        store.apply([reply(store, run, 1, b"second")])
        with StoreReader.open(path) as reader:
            assert [row.reply and row.reply.raw for row in reader.rows(1)] == [b"first", None, None]


def test_a_killed_run_is_found_with_what_it_may_have_sent(path: Path) -> None:
    with StoreWriter.open(path) as store:
        run = begin(store, add_plan(store, count=5))
        for request_id in (1, 2, 5):  # not in their order: what follows from answers is asked before what was planned
            store.mark.hand_out(request_id)
        store.apply([reply(store, run, 1)])
        (killed,) = store.killed_runs()
        assert (killed.run_id, killed.prices) == (run, {"teacher": {"input": "1"}})
        assert [sent.request_id for sent in killed.sent] == [2, 5]
        store.end_run(run, outcome="killed", lost_nusd={"teacher": 7}, uncertain=2)
        assert store.killed_runs() == []
        assert (store.uncertain("toy"), store.uncertain("another")) == (2, 0)
        assert store.spent_nusd() == 5 + 7


def test_what_was_handed_out_since_the_last_commit_is_found_too(path: Path) -> None:
    with StoreWriter.open(path) as store:
        run = begin(store, add_plan(store, count=5))
        store.mark.hand_out(1)
        store.mark.hand_out(2)
        store.apply([reply(store, run, 1)])
        store.mark.hand_out(3)
        store.mark.hand_out(4)
    with StoreWriter.open(path) as store:
        assert [sent.request_id for sent in store.killed_runs()[0].sent] == [2, 3, 4]
    path.with_name(path.name + ".mark").unlink()  # as in a copy of the store alone: the last commit knows
    with StoreWriter.open(path) as store:
        assert [sent.request_id for sent in store.killed_runs()[0].sent] == [2]


def test_more_may_have_been_sent_than_a_statement_has_room_for(path: Path) -> None:
    with StoreWriter.open(path) as store:
        begin(store, add_plan(store, count=3000))
        for request_id in range(1, 3001):
            store.mark.hand_out(request_id)
        raw: Any = store.engine.raw_connection().driver_connection
        raw.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 1500)
        assert len(store.killed_runs()[0].sent) == 3000


def test_the_mark_of_a_store_that_is_gone_says_nothing_about_the_next(path: Path) -> None:
    with StoreWriter.open(path) as store:
        begin(store, add_plan(store, count=5))
        store.mark.hand_out(5)
    for file in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        file.unlink(missing_ok=True)
    with StoreWriter.open(path) as store:
        begin(store, add_plan(store, count=5))
        assert store.killed_runs()[0].sent == []


def test_a_failing_plan_leaves_the_store_as_it_was(path: Path) -> None:
    def planned() -> Any:
        yield Seed("a", "train", {}), Origin(0), [Asked("answer", "teacher", [Request("k", b"{}")])]
        raise ValueError("a bad seed")

    with StoreWriter.open(path) as store:
        with pytest.raises(ValueError, match="a bad seed"):
            store.add_plan("toy", "f", "text", planned())
        assert store.current_plan("toy") is None


def test_events_queued_together_are_committed_together_and_before_they_are_looked_at(path: Path) -> None:
    seen: list[tuple[int, int]] = []

    async def scenario(store: StoreWriter) -> None:
        run = begin(store, add_plan(store, count=20))

        def look(events: Sequence[Event]) -> list[Event]:
            other = sqlite3.connect(path)  # another connection sees only what is committed
            seen.append((len(events), other.execute("SELECT count(*) FROM replies").fetchone()[0]))
            other.close()
            return []

        journal = Journal(store, Looking(look), lambda _: None, lambda: None, print)
        events = [reply(store, run, number) for number in range(1, 21)]
        async with asyncio.TaskGroup() as group:
            group.create_task(journal.run())
            for event in events:
                journal.put(event)
            journal.close()

    with StoreWriter.open(path) as store:
        asyncio.run(scenario(store))
    assert seen == [(20, 20)]


class Thrown(BaseException):
    """No `Exception`, as SystemExit is none."""


def test_whatever_the_look_at_a_group_raises_what_is_on_disk_is_not_written_again(path: Path) -> None:
    def look(_events: Sequence[Event]) -> list[Event]:
        raise Thrown

    async def scenario(store: StoreWriter) -> None:
        journal = Journal(store, Looking(look), lambda _: None, lambda: None, print)
        journal.put(reply(store, begin(store, add_plan(store)), 1))
        with pytest.raises(BaseExceptionGroup) as caught:
            await journal.run()
        assert caught.group_contains(Thrown)
        journal.flush()

    with StoreWriter.open(path) as store:
        asyncio.run(scenario(store))
        assert store.spent_nusd() == 5


def test_every_commit_is_synced(path: Path) -> None:
    with StoreWriter.open(path) as store, store.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


def test_a_newer_schema_is_refused_by_writer_and_reader(path: Path) -> None:
    with StoreWriter.open(path):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreUnusable, match="newer Harvester"), StoreWriter.open(path):
        pass
    with pytest.raises(StoreUnusable, match="newer Harvester"), StoreReader.open(path):
        pass


def test_a_file_that_is_no_database_is_said_so(path: Path) -> None:
    path.write_text("hello " * 1000)
    with pytest.raises(StoreUnusable, match="not a database"), StoreWriter.open(path):
        pass
    with pytest.raises(StoreUnusable, match="not a database"), StoreReader.open(path):
        pass


def test_a_missing_store_says_what_makes_it(path: Path) -> None:
    with pytest.raises(StoreUnusable, match="harvester collect"), StoreReader.open(path):
        pass


def test_a_folder_that_cannot_hold_the_store_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusable, match="not writable"), StoreWriter.open(tmp_path / "file" / "harvest.db"):
        pass


def test_migrations_make_exactly_the_tables_that_the_code_sees(path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with StoreWriter.open(path) as store, store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_code_knows_every_migration() -> None:
    folder = Path(__file__).parents[3] / "harvester/store/migrations/versions"
    assert tuple(sorted(file.name[:4] for file in folder.glob("[0-9]*.py"))) == REVISIONS


def test_an_up_to_date_store_is_opened_without_alembic(path: Path) -> None:
    with StoreWriter.open(path):
        pass
    code = f"""
import sys, pathlib
from harvester.store import StoreWriter
with StoreWriter.open(pathlib.Path({str(path)!r})):
    pass
assert "alembic" not in sys.modules
"""
    root = str(Path(__file__).parents[3])
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": root})


@pytest.mark.parametrize("length", [0, 1, 511, 512, 5_000, 300_000])
def test_what_is_deflated_comes_out_as_it_was(length: int) -> None:
    data = (b'{"content": "text and more text"}' * (length // 33 + 1))[:length]
    assert zlib.decompress(deflated(data)) == data


def test_damage_that_the_driver_meets_in_the_middle_of_reading_is_said_so(path: Path) -> None:
    with StoreWriter.open(path) as store:
        plan_id = add_plan(store)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE rows SET split = CAST(x'ff' AS TEXT) WHERE id = 2")
    connection.close()
    with StoreReader.open(path) as reader, pytest.raises(StoreUnusable, match=r"harvest\.db: .*UTF-8"):
        list(reader.packed_rows(plan_id))
