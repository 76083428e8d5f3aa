"""Faults of disks, files and other programs: one clear line, exit code 6, and a store that goes on where it stopped."""

import json
import os
import random
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harvester import cli
from harvester.errors import StoreUnusable
from harvester.judging import Rules
from harvester.recipe import Recipe
from harvester.store import StoreReader, StoreWriter, engine

ROOT = Path(__file__).parents[3]
STORE_UNUSABLE = 6
SEEDS = 150


def collect(folder: Any, *, most_bytes: int | None = None) -> "subprocess.CompletedProcess[str]":
    """`harvester collect` in a process of its own, none of whose files may grow beyond `most_bytes`."""

    def limit() -> None:
        if most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    return subprocess.run(
        [sys.executable, "-m", "harvester", "collect", str(folder.path), "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=limit,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def run(capsys: Any, monkeypatch: Any, *arguments: object) -> tuple[int, list[str]]:
    """A command in this process: its exit code and its lines on stderr."""
    monkeypatch.setattr(sys, "argv", ["harvester", *map(str, arguments)])
    code = 0
    try:
        cli.main()
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    captured = capsys.readouterr().err
    assert "Traceback" not in captured, captured
    return code, captured.splitlines()


def prompts(asked: list[dict[str, Any]]) -> list[str]:
    return [body["messages"][0]["content"] for body in asked]


def stored_prompts(path: Path) -> set[str]:
    with StoreReader.open(path) as reader:
        plan = reader.current_plan("toy")
        assert plan is not None
        return {json.loads(row.request_body)["messages"][0]["content"] for row in reader.rows(plan) if row.reply}


def incompressible(_body: dict[str, Any]) -> str:
    return random.randbytes(8_000).hex()  # noqa: S311 - only its size matters


def test_fault_03_a_full_disk_stops_cleanly_and_nothing_stored_is_asked_again(folder: Any, provider: Any) -> None:
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(SEEDS)])
    provider.answer, provider.latency_s = incompressible, 0.02  # four answers a commit or so: many fit before one fails
    full = collect(folder, most_bytes=900_000)
    assert full.returncode == STORE_UNUSABLE, full.stderr
    assert "Traceback" not in full.stderr
    assert "cannot be written" in full.stderr.splitlines()[-1]
    assert "free some space and run again" in full.stderr.splitlines()[-1]
    stored = stored_prompts(folder.path / "harvest.db")
    assert 0 < len(stored) < SEEDS
    provider.asked.clear()
    second = collect(folder)
    assert second.returncode == 0, second.stderr
    assert stored.isdisjoint(prompts(provider.asked))
    assert len(provider.asked) == SEEDS - len(stored)
    assert len(stored_prompts(folder.path / "harvest.db")) == SEEDS


def test_fault_03_a_disk_too_full_for_the_plan_leaves_no_half_of_one(folder: Any, provider: Any) -> None:
    folder.seeds("train.jsonl", [f"{random.randbytes(500).hex()} {number}" for number in range(2_000)])  # noqa: S311
    full = collect(folder, most_bytes=400_000)
    assert full.returncode == STORE_UNUSABLE, full.stderr
    assert "cannot be written" in full.stderr.splitlines()[-1]
    assert provider.asked == []
    with StoreWriter.open(folder.path / "harvest.db") as store:
        assert store.current_plan("toy") is None


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_S", 0.2)


def locking(path: Path) -> sqlite3.Connection:
    """Another program that began to write and does not end."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    return other


def test_fault_04_a_database_locked_by_another_program_is_waited_for_and_then_said_so(
    folder: Any, capsys: Any, monkeypatch: Any, impatient: None
) -> None:
    store = folder.path / "harvest.db"
    assert run(capsys, monkeypatch, "collect", folder.path, "--limit", 3)[0] == 0
    other = locking(store)
    code, lines = run(capsys, monkeypatch, "collect", folder.path)
    assert (code, len(lines)) == (STORE_UNUSABLE, 1), lines
    assert f"{store}: locked by another program for more than 0.2 s" in lines[0]
    other.close()
    assert run(capsys, monkeypatch, "collect", folder.path)[0] == 0


def test_fault_04_a_lock_in_the_middle_of_a_run_stops_it_and_it_goes_on_later(
    folder: Any, provider: Any, capsys: Any, monkeypatch: Any, impatient: None
) -> None:
    store = folder.path / "harvest.db"
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(40)])
    others: list[sqlite3.Connection] = []

    def script(_body: dict[str, Any], _before: int) -> None:
        if len(provider.asked) >= 20 and not others:
            others.append(locking(store))

    provider.script = script
    code, lines = run(capsys, monkeypatch, "collect", folder.path)
    assert (code, "locked by another program" in lines[-1]) == (STORE_UNUSABLE, True), lines
    others[0].close()
    stored = stored_prompts(store)
    provider.asked.clear()
    provider.script = lambda _body, _before: None
    assert run(capsys, monkeypatch, "collect", folder.path)[0] == 0
    assert stored.isdisjoint(prompts(provider.asked))
    assert len(stored_prompts(store)) == 40


def test_fault_04_a_short_lock_of_another_program_is_waited_out(folder: Any, capsys: Any, monkeypatch: Any) -> None:
    import threading

    store = folder.path / "harvest.db"
    run(capsys, monkeypatch, "collect", folder.path, "--limit", 3)
    other = locking(store)
    release = threading.Timer(0.3, other.close)
    release.start()
    assert run(capsys, monkeypatch, "collect", folder.path)[0] == 0
    release.join()


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def become_text(path: Path) -> None:
    path.write_text("hello " * 1_000)


def lose_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def lose_all_but_the_header(path: Path) -> None:
    os.truncate(path, 100)


def be_overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(path.stat().st_size - 4096))


@pytest.mark.parametrize("damage", [become_a_folder, become_text, lose_half, lose_all_but_the_header, be_overwritten])
def test_a_damaged_store_is_one_line_and_exit_code_6(
    folder: Any, tmp_path: Path, capsys: Any, monkeypatch: Any, damage: Callable[[Path], None]
) -> None:
    store = folder.path / "harvest.db"
    assert run(capsys, monkeypatch, "collect", folder.path)[0] == 0
    damage(store)
    commands = [("status", folder.path), ("export", folder.path, tmp_path / "out"), ("collect", folder.path)]
    if store.is_file():  # a folder is refused by the command line
        commands.append(("verify", store))
    for arguments in commands:
        code, lines = run(capsys, monkeypatch, *arguments)
        assert (code, len(lines)) == (STORE_UNUSABLE, 1), (arguments, lines)
        assert str(store) in lines[0]


@pytest.mark.parametrize("place", ["/proc/harvest.db", "/dev/null/harvest.db", "nowhere/harvest.db"])
def test_a_folder_that_takes_no_files_is_one_line(folder: Any, capsys: Any, monkeypatch: Any, place: str) -> None:
    monkeypatch.chdir(folder.path)
    code, lines = run(capsys, monkeypatch, "collect", folder.path, "--store", place)
    assert (code, len(lines)) == (STORE_UNUSABLE, 1), lines
    assert "not writable" in lines[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads and writes what nobody may")
@pytest.mark.parametrize(("mode", "command"), [(0o000, "status"), (0o000, "collect"), (0o444, "collect")])
def test_a_store_without_permission_is_one_line(
    folder: Any, capsys: Any, monkeypatch: Any, mode: int, command: str
) -> None:
    assert run(capsys, monkeypatch, "collect", folder.path)[0] == 0
    (folder.path / "harvest.db").chmod(mode)
    code, lines = run(capsys, monkeypatch, command, folder.path)
    assert (code, len(lines)) == (STORE_UNUSABLE, 1), lines


def test_a_half_written_log_loses_only_what_was_never_committed(folder: Any, capsys: Any, monkeypatch: Any) -> None:
    store = folder.path / "harvest.db"
    assert run(capsys, monkeypatch, "collect", folder.path)[0] == 0
    stored = stored_prompts(store)
    other = sqlite3.connect(store, isolation_level=None)
    other.execute("PRAGMA wal_autocheckpoint = 0")
    other.execute("UPDATE requests SET attempts = 7")
    log = store.with_name("harvest.db-wal")
    committed = log.read_bytes()
    other.execute("UPDATE requests SET attempts = 9, reason = 'half of this reaches the disk'")
    half = log.read_bytes()[: (len(committed) + log.stat().st_size) // 2]
    database = store.read_bytes()
    other.close()
    store.write_bytes(database)  # as a crash would have left the two
    log.write_bytes(half)
    with StoreWriter.open(store) as writer, writer.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT DISTINCT attempts FROM requests").scalars().all() == [7]
    assert stored_prompts(store) == stored


def test_no_damage_ends_in_anything_but_a_store_that_is_unusable(folder: Any, capsys: Any, monkeypatch: Any) -> None:
    store = folder.path / "harvest.db"
    assert run(capsys, monkeypatch, "collect", folder.path)[0] == 0
    whole = store.read_bytes()
    rules = Rules(Recipe.load(folder.path)).digests
    chance = random.Random(11)  # noqa: S311
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        at = chance.randrange(100, len(whole) - 64)
        damaged[at : at + 48] = chance.randbytes(48)
        store.write_bytes(damaged)
        try:
            with StoreReader.open(store) as reader:
                list(reader.rows(1))
                reader.counts(1)
                reader.count_unjudged(1, rules)
                reader.last_run("toy")
            with StoreWriter.open(store) as writer:
                writer.killed_runs()
                writer.spent_nusd()
                writer.pending(1, after=0, limit=100)
        except StoreUnusable:
            refused += 1
        for beside in ("-wal", "-shm"):
            store.with_name(store.name + beside).unlink(missing_ok=True)
    assert refused > 10
