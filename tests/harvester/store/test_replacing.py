"""Whatever happens while a store is compacted: at its place is the old one or the new one, whole."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harvester.auditing import audit
from harvester.errors import StoreUnusable
from harvester.store import StoreReader, StoreWriter, compacting, engine, replacing
from harvester.store.compacting import compact
from harvester.store.packing import number_of
from harvester.store.schema import REVISIONS

from talks import COUNT, LEFT, contents, files, query, rows  # isort: skip - a helper beside the tests
from toy_store import answer, make_empty  # isort: skip - a helper beside the tests


def test_a_collection_under_way_keeps_its_store(store: Path) -> None:
    before = store.read_bytes()
    with StoreWriter.open(store), pytest.raises(StoreUnusable, match=f"in use by process {os.getpid()} on"):
        compact(store)
    assert store.read_bytes() == before


def test_a_reader_is_not_left_behind(store: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_S", 0)
    with StoreReader.open(store), pytest.raises(StoreUnusable, match="is being read by another program; let it end"):
        compact(store)
    compact(store)


def test_an_older_store_that_is_being_read_stays_an_older_one(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_S", 0)
    path = tmp_path / "harvest.db"
    make_empty(path, REVISIONS[0])
    query(path, "PRAGMA journal_mode=WAL")
    with engine.plainly(path, "ro") as reader:
        reader.execute("SELECT * FROM plans").fetchall()
        with pytest.raises(StoreUnusable, match="is being read by another program"):
            compact(path)
    assert query(path, "SELECT version_num FROM alembic_version") == [(REVISIONS[0],)]


def reading(store: Path, monkeypatch: Any) -> Iterator[StoreReader]:
    """Begin to read while the new file is being written."""
    write, opened = compacting._write, StoreReader.open(store)

    def meanwhile(*arguments: Any) -> int:
        monkeypatch.setattr(compacting, "_write", write)
        done = write(*arguments)
        opened.__enter__()
        return done

    monkeypatch.setattr(compacting, "_write", meanwhile)
    yield opened  # type: ignore[misc]


def test_who_reads_to_the_end_is_waited_for_and_then_left_alone(store: Path, monkeypatch: Any) -> None:
    (opened,) = reading(store, monkeypatch)
    monkeypatch.setattr(replacing, "PATIENCE_S", 0)
    before = contents(store)
    with pytest.raises(StoreUnusable, match="is being read by another program"):
        compact(store)
    opened.__exit__(None, None, None)
    assert contents(store) == before
    assert files(store) == {"harvest.db"}
    assert not any(number_of(raw) for (raw,) in query(store, "SELECT raw FROM replies"))


def test_who_stops_reading_in_time_does_no_harm(store: Path, monkeypatch: Any) -> None:
    (opened,) = reading(store, monkeypatch)
    monkeypatch.setattr(replacing.time, "sleep", lambda _: opened.__exit__(None, None, None))
    before = contents(store)
    compact(store)
    assert contents(store) == before
    assert any(number_of(raw) for (raw,) in query(store, "SELECT raw FROM replies"))


def test_another_program_s_writing_meanwhile_is_not_lost(store: Path, monkeypatch: Any) -> None:
    write = compacting._write

    def meanwhile(*arguments: Any) -> int:
        done = write(*arguments)
        query(store, "UPDATE plans SET recipe_text = 'new'")
        return done

    monkeypatch.setattr(compacting, "_write", meanwhile)
    with pytest.raises(StoreUnusable, match="another program wrote to it meanwhile; nothing was changed"):
        compact(store)
    assert query(store, "SELECT recipe_text FROM plans") == [("new",)]


def test_who_opened_the_old_file_while_it_was_replaced_opens_the_new_one(store: Path, monkeypatch: Any) -> None:
    compact(store)
    seen = iter([(0, 1), (0, 2), (0, 2), (0, 2)])  # before and after opening, twice
    monkeypatch.setattr(engine, "_file", lambda _: next(seen))
    with StoreReader.open(store) as reader:
        assert reader.current_plan("toy") == 1
    assert list(seen) == []


# --- files


def test_links_owners_and_permissions_stay(store: Path, tmp_path: Path) -> None:
    store.chmod(0o640)
    link = tmp_path / "link.db"
    link.symlink_to(store)
    compact(link)
    assert link.is_symlink()
    assert store.stat().st_mode & 0o777 == 0o640
    assert any(number_of(raw) for (raw,) in query(store, "SELECT raw FROM replies"))


def test_while_it_is_written_the_new_file_is_for_the_same_eyes_as_the_store(store: Path, monkeypatch: Any) -> None:
    store.chmod(0o600)
    write, seen = compacting._write, []

    def looked_at(new: Path, *arguments: Any) -> int:
        done = write(new, *arguments)
        seen.append(new.stat().st_mode & 0o777)
        return done

    monkeypatch.setattr(compacting, "_write", looked_at)
    compact(store)
    assert seen == [0o600]


def test_a_store_of_another_user_is_refused_before_the_work_begins(store: Path, monkeypatch: Any) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(replacing.os, "chown", refused)
    monkeypatch.setattr(compacting, "_write", lambda *_: pytest.fail("the work began"))
    with pytest.raises(StoreUnusable, match="belongs to another user or group"):
        compact(store)
    assert files(store) == {"harvest.db"}


def test_what_lies_in_the_new_file_s_place_and_cannot_be_removed_is_named(store: Path) -> None:
    store.with_name("harvest.db.compacting").mkdir()
    with pytest.raises(StoreUnusable, match=r"harvest\.db\.compacting: cannot be made anew \(.+\); remove it and run"):
        compact(store)


def test_a_disk_that_does_not_take_the_new_file_leaves_the_store_as_it_was(store: Path, monkeypatch: Any) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = contents(store)
    monkeypatch.setattr(replacing.os, "fsync", full)
    with pytest.raises(StoreUnusable, match=r"cannot be replaced \(No space left on device\); nothing was changed"):
        compact(store)
    assert contents(store) == before
    assert files(store) == {"harvest.db"}


@pytest.mark.parametrize("kind", ["missing", "text", "foreign", "newer", "folder"])
def test_what_is_no_store_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "harvest.db"
    if kind == "text":
        path.write_text("no database, but long enough to be looked at " * 100)
    elif kind == "foreign":
        query(path, "CREATE TABLE mine (x)")
    elif kind == "newer":
        make_empty(path, REVISIONS[-1])
        query(path, "UPDATE alembic_version SET version_num = '9999'")
    elif kind == "folder":
        path.mkdir()
    before = sorted(tmp_path.iterdir()), path.read_bytes() if path.is_file() else b""
    with pytest.raises(StoreUnusable):
        compact(path)
    assert (sorted(tmp_path.iterdir()), path.read_bytes() if path.is_file() else b"") == before


def test_fault_03_too_little_room_is_said_before_anything_is_done(store: Path, monkeypatch: Any) -> None:
    before = contents(store)
    monkeypatch.setattr(replacing.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000))
    with pytest.raises(StoreUnusable, match=r"needs \d+ MB of free room in its folder, which has 0; free some and"):
        compact(store)
    assert contents(store) == before


CHILD = """
import os, pathlib, resource, signal, sys
from harvester.errors import StoreUnusable
from harvester.store import compacting, replacing
from harvester.store.compacting import compact
store, kill_at = pathlib.Path(sys.argv[1]), sys.argv[2]

def killed_before(module, name, call=1):
    left, real = [call], getattr(module, name)
    def wrapper(*arguments, **more):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **more)
    setattr(module, name, wrapper)

if kill_at == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
else:
    module, name, call = kill_at.split()
    killed_before({"compacting": compacting, "replacing": replacing, "Path": pathlib.Path}[module], name, int(call))
try:
    compact(store)
except StoreUnusable as error:
    print(error)
    sys.exit(error.exit_code)
"""


def child(store: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", CHILD, str(store), *map(str, arguments)]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environ)


def test_fault_03_a_disk_that_fills_up_leaves_the_store_as_it_was(store: Path) -> None:
    before = contents(store)
    ended = child(store, "full", 100_000)
    assert ended.returncode == 6
    assert "cannot be written" in ended.stdout
    assert "nothing stored is lost" in ended.stdout
    assert ended.stdout.startswith(f"{store}: ")
    assert contents(store) == before
    assert files(store) == {"harvest.db"}


@pytest.mark.parametrize(
    "step",
    [
        "replacing require_room 1",
        "compacting number_of 10",
        "compacting number_of 700",
        "replacing _make_alike 1",
        "replacing _make_alike 2",
        "replacing _sync 1",
        "replacing _take_for_oneself 1",
        "replacing version_of 2",
        "Path replace 1",
        "replacing _sync 2",
        "replacing remove 2",
    ],
)
def test_killed_at_any_step_the_store_is_whole(store: Path, step: str) -> None:
    before = contents(store)
    assert child(store, step).returncode == -signal.SIGKILL
    assert contents(store) == before
    assert audit(store).problems == ()
    with StoreWriter.open(store) as writer:
        answer(writer, 1, [COUNT])
    assert rows(store)[-1].reply
    compact(store)
    assert files(store) == {"harvest.db"}
    raw = [raw for row in rows(store) if row.reply for raw in [row.reply.raw]]
    assert hashlib.sha256(raw[0]).digest() == query(store, "SELECT sha256 FROM replies")[0][0]
    assert len(raw) == COUNT - LEFT + 1
