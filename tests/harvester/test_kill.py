"""kill -9 of the real process: nothing that was stored is asked again."""

import asyncio
import contextlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harvester.budget import worst_case_tokens
from harvester.collecting import collect as run_collect
from harvester.recipe import Recipe
from harvester.status import status
from harvester.store import StoreReader

import wire_faults  # isort: skip - helpers beside the tests
from provider import Provider, last_line  # isort: skip


def start(*command: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def collect(folder: Any) -> "subprocess.Popen[str]":
    return start("-m", "harvester", "collect", str(folder.path), "--json")


def stored_prompts(folder: Any) -> set[str]:
    with StoreReader.open(folder.path / "harvest.db") as reader:
        plan = reader.current_plan("toy")
        assert plan is not None
        return prompts([json.loads(row.request_body) for row in reader.rows(plan) if row.reply])


def prompts(bodies: list[dict[str, Any]]) -> set[str]:
    return set(map(last_line, bodies))


def kill_while_asking(folder: Any, provider: Any, after: int) -> None:
    """Kill the process when the provider was asked so often; nothing that came after is answered."""
    provider.latency_s = 0.05
    process = collect(folder)
    provider.wait_until_asked(after, process)
    process.kill()
    process.communicate()
    provider.latency_s = 0.0


def second_run(folder: Any) -> dict[str, Any]:
    process = collect(folder)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    found: dict[str, Any] = json.loads(out)
    return found


def test_an_edit_after_a_kill_loses_neither_the_count_nor_the_bill(folder: Any, provider: Any) -> None:
    folder.data["teacher"]["price"] = {"input": 1000, "output": 1000}
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(40)])
    folder.save()
    kill_while_asking(folder, provider, after=12)
    asked, stored = len(provider.asked), len(stored_prompts(folder))
    folder.seeds("train.jsonl", ["a new one", *(f"seed {number}" for number in range(40))])
    found = second_run(folder)
    assert found["maybe_asked_again"] >= asked - stored
    assert len(provider.asked) <= 41 + found["maybe_asked_again"]
    answers = 41 * 15 * 0.001
    assert found["spent_usd"] >= answers + (asked - stored) * 0.05


def test_another_recipe_closes_a_killed_run_at_the_killed_runs_price(
    folder: Any, provider: Any, tmp_path: Path
) -> None:
    folder.data["teacher"]["price"] = {"input": 1000, "output": 1000}
    folder.save()
    kill_while_asking(folder, provider, after=3)
    other = type(folder)(tmp_path / "other", {**folder.data, "name": "other"})
    other.data["teacher"] = {**folder.data["teacher"], "price": {"input": 0, "output": 0}}
    other.write("answer.j2", "Another question about {{ text }}")
    other.save()
    recipe, store = Recipe.load(other.path), folder.path / "harvest.db"
    progress = asyncio.run(run_collect(recipe, store))
    assert progress.maybe_asked_again == 0  # not its own
    assert progress.spent_usd > 0.05
    assert second_run(folder)["maybe_asked_again"] > 0


KILL = """
import os, signal, sys
from harvester.store.events import Replied
from harvester.store.writing import StoreWriter
from harvester.teachers.openai_compat import OpenAICompatible
from harvester.cli import main
send, apply, sent = OpenAICompatible.send, StoreWriter.apply_with, 0
def die(when, instant):
    if when and instant == {instant!r}:
        os.kill(os.getpid(), signal.SIGKILL)
async def sending(self, *given, **named):
    global sent
    sent += 1
    die(sent == 11, "before a send")
    reply = await send(self, *given, **named)
    die(sent >= 11, "after a send")
    return reply
def applying(self, events, then, **named):
    replied = sent >= 11 and any(isinstance(event, Replied) for event in events)
    die(replied, "before a commit")
    done = apply(self, events, then, **named)
    die(replied, "after a commit")
    return done
OpenAICompatible.send, StoreWriter.apply_with = sending, applying
main()
"""
INSTANTS = ("before a send", "after a send", "before a commit", "after a commit")
KILLED_AT = {instant: KILL.format(instant=instant) for instant in INSTANTS}


@pytest.mark.parametrize("instant", INSTANTS)
def test_fault_01_killed_between_any_two_steps_nothing_stored_is_asked_again(
    folder: Any, provider: Any, instant: str
) -> None:
    folder.data["teacher"]["limits"] = {"concurrency": 4}
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(40)])
    folder.save()
    killed = start("-c", KILLED_AT[instant], "collect", str(folder.path))
    assert killed.wait(60) == -signal.SIGKILL, killed.communicate()[1]
    killed.communicate()
    stored, asked = stored_prompts(folder), prompts(provider.asked)
    provider.asked.clear()
    found = second_run(folder)
    assert stored <= asked
    assert prompts(provider.asked) & stored == set()
    assert prompts(provider.asked) | stored == {f"seed {number}" for number in range(40)}
    assert asked & prompts(provider.asked) == asked - stored
    assert len(asked - stored) <= found["maybe_asked_again"] <= len(asked - stored) + 4
    assert len(provider.asked) == 40 - len(stored)


# --- kills at random instants


SEEDS, PERMITS = 800, 8
KILLS = {"while it starts": 15, "so long after its first request": 19, "at so many requests": 18}
CUT = (wire_faults.reset_mid_body, wire_faults.reset_before_any_byte, wire_faults.close_before_any_byte)
FAULTS = [
    ((500, {}, b"{}"), 0.06),
    ((429, {"retry-after-ms": "50"}, b"{}"), 0.02),
    *((fault, 0.02) for fault in CUT),
]


@dataclass
class Account:
    """What the provider saw and the store holds, compared after every kill of one store."""

    folder: Any
    provider: Provider
    stored: dict[str, bytes] = field(default_factory=dict)  # prompt → reply, as it was at the last kill
    open_at_kill: dict[int, int] = field(default_factory=dict)  # run → requests that were asked and not stored
    early: int = 0  # kills before the run's first request
    _seen: int = 0  # requests the provider had been asked by the last kill
    _last_run: int = 0

    def take(self) -> None:
        """Compare after a kill.

        No stored reply is gone or changed, and none that was stored before the run was asked in it.
        """
        self._let_the_provider_finish()
        asked = prompts(self.provider.asked[self._seen :])
        assert asked.isdisjoint(self.stored)
        stored, last_run = self._read()
        assert {prompt: stored.get(prompt) for prompt in self.stored} == self.stored
        self.early += not asked
        if last_run > self._last_run:
            self.open_at_kill[last_run] = len(asked - stored.keys())
        else:
            assert not asked  # it had not even begun its run
        self.stored, self._seen, self._last_run = stored, len(self.provider.asked), last_run

    def _let_the_provider_finish(self) -> None:
        deadline = time.monotonic() + 10
        while self.provider.in_flight:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _read(self) -> tuple[dict[str, bytes], int]:
        if not (self.folder.path / "harvest.db").exists():
            return {}, 0
        with read_only(self.folder) as connection:
            try:
                found = connection.execute(
                    "SELECT body, raw FROM replies JOIN requests ON requests.id = request_id"
                ).fetchall()
                (last_run,) = connection.execute("SELECT coalesce(max(id), 0) FROM runs").fetchone()
            except sqlite3.OperationalError:  # killed before it had made its tables
                return {}, 0
        return {last_line(json.loads(zlib.decompress(body))): raw for body, raw in found}, last_run

    def uncertain(self) -> dict[int, int]:
        """How many requests each killed run may have sent in vain, as the run after it wrote down."""
        with read_only(self.folder) as connection:
            return dict(connection.execute("SELECT id, uncertain FROM runs WHERE outcome = 'killed'").fetchall())


@contextlib.contextmanager
def read_only(folder: Any) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(f"file:{folder.path}/harvest.db?mode=ro", uri=True)) as connection:
        yield connection


def killed_once(folder: Any, provider: Provider, kind: str, chance: random.Random, start_s: float) -> float:
    """Start a collection and kill it. Returns how long it took until its first request (seconds), or `start_s`."""
    before = len(provider.asked)
    began, process = time.monotonic(), collect(folder)
    if kind == "at so many requests":
        provider.wait_until_asked(before + chance.randint(1, 30), process)
    elif kind == "so long after its first request":
        provider.wait_until_asked(before + 1, process)
        run_for(process, chance.uniform(0, 0.5))
    else:
        run_for(process, chance.uniform(0, start_s))
    process.kill()
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    return provider.asked_at[before] - began if len(provider.asked) > before else start_s


def run_for(process: "subprocess.Popen[str]", seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fault_01_killed_at_fifty_random_instants_everything_is_accounted_for(folder: Any, provider: Any) -> None:
    folder.data["teacher"] |= {
        "price": {"input": 1000, "output": 1000},
        "limits": {"concurrency": PERMITS, "requests_per_minute": 60_000},
        "max_attempts": 50,
    }
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(SEEDS)])
    folder.save()
    provider.script = wire_faults.seeded(7, FAULTS)
    provider.latency_s = lambda body, before: wire_faults.chance_of("latency", before, body).uniform(0.05, 0.25)
    chance = random.Random(7)  # noqa: S311 - seeded on purpose
    kinds = [kind for kind, times in KILLS.items() for _ in range(times)]
    chance.shuffle(kinds)
    account, start_s = Account(folder, provider), 1.0
    for kind in kinds:
        start_s = killed_once(folder, provider, kind, chance, start_s)
        account.take()
    assert len(account.stored) < SEEDS  # there was something to ask until the last kill
    provider.latency_s = 0.0
    found = second_run(folder)
    account.take()

    uncertain = account.uncertain()
    for run, asked_in_vain in account.open_at_kill.items():
        assert asked_in_vain <= uncertain.get(run, 0) <= asked_in_vain + 2 * PERMITS
    assert found["maybe_asked_again"] == sum(uncertain.values())
    answered_again = len(provider.answered) - len(prompts(provider.answered))
    assert answered_again <= sum(uncertain.values())
    assert account.early <= len(kinds) / 3
    assert account.stored.keys() == {f"seed {number}" for number in range(SEEDS)}
    assert status(Recipe.load(folder.path))["splits"]["train"]["accepted"] == SEEDS

    cut = sum(provider.said[fault.__name__] for fault in CUT)
    bill_usd = 0.015 * (provider.said[200] + cut)
    worst_usd = 0.001 * max(sum(worst_case_tokens(json.dumps(body).encode())) for body in provider.asked)
    spent_usd = status(Recipe.load(folder.path))["usd"]
    assert bill_usd <= spent_usd <= bill_usd + worst_usd * (cut + sum(uncertain.values()))
    verified = start("-m", "harvester", "verify", str(folder.path / "harvest.db"))
    assert verified.communicate()[1] == ""
    assert verified.returncode == 0
    print(  # noqa: T201 - the account, for who runs it with -s
        f"{len(kinds)} kills ({account.early} before a request): {len(provider.asked)} asked, "
        f"{len(provider.answered)} answered, {len(account.stored)} stored, {answered_again} answered again of "
        f"{sum(uncertain.values())} reported; billed ${bill_usd:.2f}, counted ${spent_usd:.2f}"
    )
