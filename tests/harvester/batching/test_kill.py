"""kill -9 and Ctrl-C of the real process: no second batch, no answer twice, none lost."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batch_provider import EVERY, BatchProvider, answers  # isort: skip - a helper beside the tests

Stored = Callable[[str], list[Any]]

KILL = """
import os, signal
from harvester.batching.api import BatchAPI
from harvester.cli import main
from harvester.store import batches
from harvester.store.writing import StoreWriter
def die(instant):
    if instant == {instant!r}:
        os.kill(os.getpid(), signal.SIGKILL)
def around(name):
    call = getattr(BatchAPI, name)
    async def called(self, *given, **named):
        die("before " + name)
        done = await call(self, *given, **named)
        die("after " + name)
        return done
    setattr(BatchAPI, name, called)
for name in ("upload", "create", "retrieve", "download"):
    around(name)
add, end, apply = batches.add, batches.end, StoreWriter.apply_with
def ending(*given, **named):
    end(*given, **named)
    die("in the commit of the end")
def applying(self, events, then, **named):
    stored = any(type(event).__name__ == "Replied" for event in events)
    if stored:
        die("before the answers' commit")
    done = apply(self, events, then, **named)
    if stored:
        die("after the answers' commit")
    return done
batches.end, StoreWriter.apply_with = ending, applying
main()
"""
INSTANTS = [
    *(f"{when} {what}" for what in ("upload", "create", "retrieve", "download") for when in ("before", "after")),
    "before the answers' commit",
    "after the answers' commit",
    "in the commit of the end",
]


def start(*command: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


def collect(folder: Any, *more: str) -> dict[str, Any]:
    process = start("-m", "harvester", "collect", str(folder.path), "--batch", "--json", *more)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.mark.parametrize("instant", INSTANTS)
def test_fault_02_killed_at_any_step_no_second_batch_is_made_and_no_answer_is_lost(
    batch_folder: Any, batches: BatchProvider, stored: Stored, instant: str
) -> None:
    batches.looks_until_done = 0
    killed = start("-c", KILL.format(instant=instant), "collect", str(batch_folder.path), "--batch")
    _, errors = killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL, errors
    found = collect(batch_folder)
    assert len(batches.batches) == 1
    assert answers(stored) == EVERY
    assert found["spent_usd"] == pytest.approx(10 * 0.0075)
    assert stored("SELECT count(*) FROM outcomes WHERE accepted") == [(10,)]
    assert stored("SELECT count(*) FROM batched") == [(0,)]


def test_fault_02_killed_after_the_provider_made_the_batch_it_is_found_again_without_metadata(
    batch_folder: Any, batches: BatchProvider, stored: Stored
) -> None:
    batches.keep_metadata, batches.looks_until_done = False, 0
    killed = start("-c", KILL.format(instant="after create"), "collect", str(batch_folder.path), "--batch")
    assert killed.wait(60) == -signal.SIGKILL
    killed.communicate()
    collect(batch_folder)
    assert len(batches.batches) == 1
    assert answers(stored) == EVERY


def test_ctrl_c_leaves_the_batch_running_and_says_how_to_go_on(
    batch_folder: Any, batches: BatchProvider, stored: Stored
) -> None:
    batches.looks_until_done = 10**6
    process = start("-m", "harvester", "collect", str(batch_folder.path), "--batch")
    batches.wait_for("retrieve")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 3, errors
    assert "10 requests in batches, which go on; take them in with: harvester collect" in errors
    assert not batches.calls["cancel"]
    batches.looks_until_done = 0
    collect(batch_folder)
    assert len(batches.batches) == 1
    assert answers(stored) == EVERY
