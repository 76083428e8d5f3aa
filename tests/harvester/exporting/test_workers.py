"""Several processes give the bytes that one gives, and say what one says."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harvester.collecting import Options, collect
from harvester.errors import BadInput, StoppedEarly, StoreUnusable
from harvester.exporting import dataset, export, pieces, shards, workers
from harvester.recipe import Recipe

from killed_exports import state  # isort: skip - helpers beside the tests
from provider import completion  # isort: skip

NUMBERS = range(24)


@pytest.fixture
def harvest(folder: Any, provider: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two samples of each seed, pairs, a held-out split, a student's template; blocks and row groups of a few rows."""
    folder.seeds("train.jsonl", [f"seed {number}" for number in NUMBERS])
    folder.seeds("heldout.jsonl", ["held 0", "held 1"])
    folder.write("student.j2", "{% user %}{{ text }}{% enduser %}")
    folder.data["steps"][0] |= {"samples": 2, "verify": {"json_schema": {"type": "object"}}}
    folder.data |= {"export": {"preference": True}, "student": {"prompt": "student.j2"}}
    folder.data["heldout"] = {"path": "heldout.jsonl"}
    folder.save()
    provider.script = lambda body, before: (
        200,
        {},
        completion("prose" if before % 2 else json.dumps({"said": body["messages"][-1]["content"]})),
    )
    asyncio.run(collect(Recipe.load(folder.path), None, Options()))
    monkeypatch.setattr(pieces, "BLOCK_ROWS", 5)
    monkeypatch.setattr(shards, "GROUP_ROWS", 7)
    return folder


def exported(harvest: Any, out: Path, count: int, monkeypatch: pytest.MonkeyPatch, **more: Any) -> str:
    """The state of what so many workers write."""
    monkeypatch.setattr(dataset, "how_many", lambda _rows: count)
    export(Recipe.load(harvest.path), out, **more)
    return state(out)


def test_the_same_store_gives_the_same_bytes_however_many_processes_there_are(
    harvest: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy.db"
    with (
        contextlib.closing(sqlite3.connect(harvest.path / "harvest.db")) as ours,
        contextlib.closing(sqlite3.connect(copy)) as its,
    ):
        ours.backup(its)
    states = [exported(harvest, tmp_path / "out", count, monkeypatch) for count in (0, 1, 3, 0)]
    states.append(exported(harvest, tmp_path / "out", 2, monkeypatch, store=copy))
    assert len(set(states)) == 1
    assert exported(harvest, tmp_path / "out", 2, monkeypatch, unfiltered=True) != states[0]


def test_where_row_groups_end_by_their_size_does_not_depend_on_the_number_of_processes(
    harvest: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "GROUP_ROWS", 1000)
    states = set()
    for most in (1_000, 2_500, 4_000, 10_000):
        monkeypatch.setattr(shards, "GROUP_BYTES", most)
        of_size = {exported(harvest, tmp_path / "out", count, monkeypatch) for count in (0, 2)}
        assert len(of_size) == 1
        states |= of_size
    assert len(states) > 2


def test_more_workers_than_blocks_are_no_mistake(harvest: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "BLOCK_ROWS", 1000)
    few = exported(harvest, tmp_path / "out", 3, monkeypatch)
    assert few == exported(harvest, tmp_path / "out", 0, monkeypatch)


def test_a_template_that_fails_for_one_row_is_said_as_by_one_process(
    harvest: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harvest.write("student.j2", '{% user %}{{ text if text != "seed 20" else nothing_of_that_name }}{% enduser %}')
    for count in (0, 2):
        with pytest.raises(BadInput, match="nothing_of_that_name"):
            exported(harvest, tmp_path / "out", count, monkeypatch)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", ["UPDATE replies SET raw = x'00ff'", "UPDATE seeds SET data = '{'"])
def test_a_damaged_row_is_said_as_by_one_process(
    harvest: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    with contextlib.closing(sqlite3.connect(harvest.path / "harvest.db")) as connection, connection:
        connection.execute(change)
    for count in (0, 2):
        with pytest.raises(StoreUnusable, match=r"damaged .*harvester verify"):
            exported(harvest, tmp_path / "out", count, monkeypatch)


def test_a_killed_worker_is_one_line_and_no_dataset(
    harvest: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    die = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    monkeypatch.setattr(workers, "_START", die)
    with pytest.raises(StoppedEarly, match="was killed"):
        exported(harvest, tmp_path / "out", 2, monkeypatch)
    assert not (tmp_path / "out").exists()


KILLED_WITH_WORKERS = """
import os, signal, sys
from pathlib import Path
from harvester.exporting import dataset, export, pieces, shards
from harvester.recipe import Recipe
pieces.BLOCK_ROWS, shards.GROUP_ROWS, dataset.how_many = 5, 1, lambda rows: 2
shards.SplitWriter.add = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # all workers have something to do
export(Recipe.load(sys.argv[1]), Path(sys.argv[2]))
"""


def test_workers_end_with_the_process_that_started_them_also_when_it_is_killed(harvest: Any, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED_WITH_WORKERS, str(harvest.path), str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        # The workers have these pipes, too: they are read to their end only when all of them have ended.
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (-signal.SIGKILL, b"")


def test_small_stores_and_single_cores_are_worth_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert workers.how_many(workers.LARGE - 1) == 0
    assert workers.how_many(workers.LARGE) == workers.MOST_WORKERS
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    assert workers.how_many(10**6) == 0


def test_python_functions_stay_in_this_process(harvest: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = Recipe.load(harvest.path)
    step = loaded.steps[0].model_copy(update={"verify": lambda text, _seed: text != "prose"})
    with_function = loaded.model_copy(update={"steps": (step,)})
    for count in (0, 2):
        monkeypatch.setattr(dataset, "how_many", lambda _rows, count=count: count)
        assert export(with_function, tmp_path / "out").rows["train"] == 24
