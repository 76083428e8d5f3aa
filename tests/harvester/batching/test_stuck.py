"""A batch that is past its window: cancelled, its answers kept, the rest asked one by one, and nothing twice."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harvester.batching.collecting import Result
from harvester.errors import TeacherUnusable

from batch_provider import EVERY, BatchProvider, answers, erred  # isort: skip - a helper beside the tests
from provider import last_line  # isort: skip

Collect = Callable[..., Result]
Stored = Callable[[str], list[Any]]
Age = Callable[[float], None]
LATE_HOURS = 24 + 2 + 0.1


@pytest.fixture
def stuck(collect: Collect, batch_folder: Any, batches: BatchProvider, age: Age) -> BatchProvider:
    """A batch of ten past its window and the grace; the recipe lets the rest be asked online."""
    batch_folder.data["teacher"] |= {"mode": "batch", "batch": {"requeue_online": True}}
    batch_folder.save()
    batches.looks_until_done, batches.done_share, batches.shuffle = 10**6, 0.3, False
    collect(mode=None, wait=False)
    age(LATE_HOURS)
    return batches


def asked(bodies: list[dict[str, Any]]) -> list[str]:
    return sorted(map(last_line, bodies))


def test_it_is_cancelled_and_its_rest_asked_online_in_the_same_run(
    collect: Collect, stuck: BatchProvider, stored: Stored
) -> None:
    said: list[str] = []
    result = collect(mode=None, say=said.append)
    assert (result.waiting, result.progress.answered, result.progress.failed) == (0, 10, 0)
    assert answers(stored) == EVERY
    assert (len(stuck.asked), len(stuck.asked_online), len(stuck.batches)) == (3, 7, 1)
    assert not set(asked(stuck.asked)) & set(asked(stuck.asked_online))
    assert result.progress.spent_usd == pytest.approx(3 * 0.0075 + 7 * 0.015)
    late = "it is past its window of 24h, and may never end"
    assert said == [
        f"teacher: batch batch_1: {late}; it is cancelled, and what it leaves is asked online",
        "teacher: batch batch_1 cancelled: 3 answered, 7 requeued",
    ]
    assert stored("SELECT count(*) FROM outcomes WHERE accepted") == [(10,)]


def test_nothing_of_it_is_asked_online_before_the_provider_says_that_it_ended(
    collect: Collect, stuck: BatchProvider, stored: Stored
) -> None:
    stuck.looks_until_cancelled = 10**6
    assert collect(mode=None, wait=False).waiting == 10
    assert collect(mode=None, wait=False).waiting == 10
    assert (stuck.calls["cancel"], stuck.calls["chat"]) == (1, 0)
    stuck.looks_until_cancelled = 0
    assert collect(mode=None, wait=False).waiting == 0
    assert answers(stored) == EVERY


def test_one_that_its_provider_lets_expire_is_treated_alike(
    collect: Collect, batch_folder: Any, batches: BatchProvider, stored: Stored
) -> None:
    batch_folder.data["teacher"] |= {"mode": "batch", "batch": {"requeue_online": True}}
    batch_folder.save()
    batches.ends, batches.done_share = "expired", 0.6
    assert collect(mode=None).progress.answered == 10
    assert answers(stored) == EVERY
    assert (len(batches.asked), len(batches.asked_online)) == (6, 4)


@pytest.mark.parametrize(("theirs", "ours"), [(25.9, 25.9), (1.0, 100.0), (100.0, 1.0)])
def test_one_that_is_not_late_by_both_clocks_is_waited_for(
    collect: Collect, stuck: BatchProvider, age: Age, theirs: float, ours: float
) -> None:
    age(ours)
    stuck.batches[0].created_at = int(time.time() - 3600 * theirs)
    assert collect(mode=None, wait=False).waiting == 10
    assert not stuck.calls["cancel"]


def test_without_leave_to_ask_online_it_is_left_with_what_to_do(
    collect: Collect, batch_folder: Any, stuck: BatchProvider, stored: Stored
) -> None:
    batch_folder.data["teacher"].pop("batch")
    batch_folder.save()
    with pytest.raises(
        TeacherUnusable,
        match=r"batch batch_1: it is past its window of 24h.*harvester batch cancel batch_1.*requeue_online: true",
    ):
        collect(mode=None)
    assert not stuck.calls["cancel"]
    assert not stuck.calls["chat"]
    assert stored("SELECT count(*) FROM batched") == [(10,)]


def test_a_batch_that_a_person_cancelled_is_sent_again_as_the_mode_says(
    collect: Collect, stuck: BatchProvider, age: Age, harvester: Any, batch_folder: Any
) -> None:
    assert harvester("batch", "cancel", "batch_1", "--recipe", batch_folder.path)[0] == 0
    collect(mode=None)
    assert not stuck.calls["chat"]
    stuck.looks_until_done = 0
    assert collect(mode=None).progress.answered == 7
    assert len(stuck.batches) == 2


def test_what_it_leaves_goes_online_in_a_later_run_too_and_into_batches_once_that_is_forbidden(
    collect: Collect, batch_folder: Any, stuck: BatchProvider, stored: Stored
) -> None:
    assert collect(mode=None, limit=2).progress.answered == 5  # three of the batch, two online
    batch_folder.seeds("train.jsonl", [f"seed {number}" for number in range(11)])
    assert collect(mode=None, wait=False, limit=2).waiting == 1  # the new seed waits in a batch, one more goes online
    assert asked(stuck.asked_online) == ["seed 3", "seed 4", "seed 5"]
    batch_folder.data["teacher"]["batch"] = {"requeue_online": False}
    batch_folder.save()
    stuck.looks_until_done = 0
    assert collect(mode=None).progress.answered == 5
    assert len(stuck.asked_online) == 3
    assert stored("SELECT count(*) FROM replies") == [(11,)]


def test_a_request_that_failed_for_good_is_not_asked_again_online(
    collect: Collect, stuck: BatchProvider, stored: Stored
) -> None:
    refused = {"custom_id": "", "response": {"status_code": 400, "body": {"error": {"message": "too long"}}}}
    stuck.line = lambda key, body: {**refused, "custom_id": key} if last_line(body) == "seed 1" else None
    assert collect(mode=None).progress.answered == 9
    assert "seed 1" not in asked(stuck.asked_online)
    assert stored("SELECT state, reason FROM requests WHERE state <> 'answered'") == [("failed", "HTTP 400: too long")]


def test_what_the_provider_counts_as_done_and_does_not_give_is_counted_as_spent(
    collect: Collect, stuck: BatchProvider, stored: Stored
) -> None:
    stuck.spoil = lambda lines: lines[:-1]
    spent_usd = collect(mode=None).progress.spent_usd
    assert answers(stored) == EVERY
    assert spent_usd > 2 * 0.0075 + 8 * 0.015 + 0.05  # the third at its worst case, and online again


def test_one_that_cannot_be_cancelled_is_left_for_another_run(
    collect: Collect, stuck: BatchProvider, stored: Stored
) -> None:
    stuck.refuse = lambda call, _: (409, {}, b"{}") if call == "cancel" else None
    with pytest.raises(TeacherUnusable, match=r"batch batch_1: .*nothing is lost, 10 requests in batches"):
        collect(mode=None)
    assert not stuck.calls["chat"]
    assert stored("SELECT count(*) FROM batched") == [(10,)]
    stuck.refuse = lambda _call, _number: None
    assert collect(mode=None).progress.answered == 10


def test_one_that_ends_while_it_is_given_up_is_taken_in_as_it_is(
    collect: Collect, stuck: BatchProvider, stored: Stored
) -> None:
    stuck.refuse = lambda call, _: (409, {}, b"{}") if call == "cancel" else None
    with pytest.raises(TeacherUnusable):
        collect(mode=None)
    stuck.looks_until_done = 0
    stuck.line = lambda key, body: erred(key, "server_error") if last_line(body) == "seed 1" else None
    assert collect(mode=None).progress.answered == 9
    assert not stuck.calls["chat"]
    assert stored("SELECT state, count(*) FROM requests GROUP BY state") == [("answered", 9), ("exhausted", 1)]


def test_a_batch_under_way_that_is_given_up_is_listed_so(
    collect: Collect, stuck: BatchProvider, harvester: Any, batch_folder: Any
) -> None:
    stuck.looks_until_cancelled = 10**6
    collect(mode=None, wait=False)
    out = harvester("batch", "list", batch_folder.path)[1]
    assert out == "batch_1  teacher  waiting (cancelling)  10 requests, given up\n"


# --- killed

KILL = """
import os, signal
from harvester.batching.api import BatchAPI
from harvester.cli import main
from harvester.store import batches
from harvester.store.writing import StoreWriter
from harvester.teachers.openai_compat import OpenAICompatible
sent = 0
def die(instant):
    if instant == {instant!r}:
        os.kill(os.getpid(), signal.SIGKILL)
def around(owner, name, what=None):
    call = getattr(owner, name)
    async def called(self, *given, **named):
        global sent
        sent += name == "send"
        die(f"before {{what or name}}" + (f" {{sent}}" if name == "send" else ""))
        done = await call(self, *given, **named)
        die(f"after {{what or name}}" + (f" {{sent}}" if name == "send" else ""))
        return done
    setattr(owner, name, called)
for name in ("cancel", "retrieve", "download"):
    around(BatchAPI, name)
around(OpenAICompatible, "send", "answer")
give_up, end = batches.give_up, batches.end
def giving_up(*given):
    give_up(*given)
    die("in the commit that gives it up")
def ending(*given, **named):
    end(*given, **named)
    die("in the commit of the end")
batches.give_up, batches.end = giving_up, ending
main()
"""
INSTANTS = [
    "in the commit that gives it up",
    *(f"{when} {what}" for what in ("cancel", "retrieve", "download") for when in ("before", "after")),
    "in the commit of the end",
    "before answer 1",
    "before answer 4",
    "after answer 4",
]


def run(*command: str) -> "tuple[int, str, str]":
    process = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        timeout=60,
        check=False,
    )
    return process.returncode, process.stdout, process.stderr


@pytest.mark.parametrize("instant", INSTANTS)
def test_killed_at_any_step_its_rest_goes_online_and_nothing_is_asked_twice_knowingly(
    stuck: BatchProvider, batch_folder: Any, stored: Stored, instant: str
) -> None:
    batch_folder.data["teacher"]["limits"] = {"concurrency": 1}
    batch_folder.save()
    code, _, errors = run("-c", KILL.format(instant=instant), "collect", str(batch_folder.path))
    assert code == -signal.SIGKILL, errors
    code, out, errors = run("-m", "harvester", "collect", str(batch_folder.path), "--json")
    assert code == 0, errors
    found = json.loads(out)
    assert answers(stored) == EVERY
    assert len(stuck.batches) == 1
    assert asked(stuck.asked) == ["seed 0", "seed 1", "seed 2"]
    assert sorted(set(asked(stuck.asked_online))) == [f"seed {number}" for number in range(3, 10)]
    begun = int(instant[-1]) if "answer" in instant else 0  # before the kill: in flight, or in a group not yet on disk
    assert len(stuck.asked_online) - 7 <= found["maybe_asked_again"] <= begun
    assert stored("SELECT count(*) FROM outcomes WHERE accepted") == [(10,)]
