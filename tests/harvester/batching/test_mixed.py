"""Recipes whose teachers are asked in batches, one by one, or as `auto` chooses: one run, one dataset, one budget."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harvester import collect as collect_as_said
from harvester.batching.collecting import Result
from harvester.errors import BadInput, StoppedEarly, TeacherUnusable
from harvester.recipe import Recipe
from harvester.status import status

from batch_provider import EVERY, BatchProvider, answers, serving_batches  # isort: skip - helpers beside the tests

Collect = Callable[..., Result]
Stored = Callable[[str], list[Any]]
LIMITS = {"requests_per_minute": 60_000}


@pytest.fixture
def judge(batch_folder: Any) -> Iterator[BatchProvider]:
    """A second teacher, who scores the answers of the first one."""
    with serving_batches(BatchProvider(answer=lambda _: '{"reason": "good", "score": 5}')) as running:
        batch_folder.data["teacher"]["mode"] = "batch"
        batch_folder.data["judge"] = {**batch_folder.data["teacher"], "base_url": running.url, "mode": "online"}
        batch_folder.data["terms"]["judge"] = {"license": "Apache-2.0"}
        batch_folder.write("grade.j2", "Grade:\n{{ steps.answer.text }}\n")
        batch_folder.data["steps"].append({"name": "grade", "kind": "judge", "prompt": "grade.j2", "min_score": 3})
        batch_folder.save()
        yield running


def say(folder: Any, teacher: str, **fields: Any) -> None:
    folder.data[teacher] |= fields
    folder.save()


def test_a_teacher_in_batches_and_a_judge_online_are_one_run(
    collect: Collect, batches: BatchProvider, judge: BatchProvider, stored: Stored
) -> None:
    result = collect(mode=None)
    assert (result.waiting, result.progress.answered, result.progress.failed) == (0, 20, 0)
    assert (len(batches.batches), len(batches.asked_online)) == (1, 0)
    assert (len(judge.batches), len(judge.asked_online)) == (0, 10)
    assert stored("SELECT step, count(*) FROM rows JOIN outcomes USING (id) WHERE accepted GROUP BY step") == [
        ("answer", 10),
        ("grade", 10),
    ]
    assert result.progress.spent_usd == pytest.approx(10 * 0.0075 + 10 * 0.015)  # the judge at the usual price


def test_what_follows_online_answers_goes_into_batches(
    collect: Collect, batch_folder: Any, batches: BatchProvider, judge: BatchProvider, stored: Stored
) -> None:
    say(batch_folder, "teacher", mode="online")
    say(batch_folder, "judge", mode="batch")
    assert collect(mode=None).progress.answered == 20
    assert (len(batches.asked_online), len(batches.batches)) == (10, 0)
    assert ([one.total for one in judge.batches], len(judge.asked_online)) == ([10], 0)
    assert stored("SELECT count(*) FROM outcomes WHERE accepted") == [(20,)]


def test_without_waiting_each_call_goes_as_far_as_it_can(
    collect: Collect, batches: BatchProvider, judge: BatchProvider
) -> None:
    assert collect(mode=None, wait=False).waiting == 10
    assert not judge.asked_online
    batches.looks_until_done = 0
    assert collect(mode=None, wait=False).progress.answered == 20
    assert len(judge.asked_online) == 10


@pytest.mark.parametrize(("mode", "in_batches"), [("batch", 20), ("online", 0)])
def test_the_command_overrides_the_recipe(
    collect: Collect, batches: BatchProvider, judge: BatchProvider, mode: Any, in_batches: int
) -> None:
    assert collect(mode=mode).progress.answered == 20
    assert len(batches.asked) + len(judge.asked) == in_batches
    assert len(batches.asked_online) + len(judge.asked_online) == 20 - in_batches


def test_a_limit_is_for_both_ways_together(collect: Collect, batches: BatchProvider, judge: BatchProvider) -> None:
    progress = collect(mode=None, limit=13).progress
    assert (progress.answered, len(batches.asked), len(judge.asked_online)) == (13, 10, 3)


def test_a_runs_budget_is_for_both_ways_together(
    collect: Collect, batch_folder: Any, judge: BatchProvider, stored: Stored
) -> None:
    batch_folder.data["budget"] = {"run_usd": 0.8}
    batch_folder.save()
    with pytest.raises(StoppedEarly, match=r"raise budget\.run_usd"):
        collect(mode=None)
    (held_nusd,) = stored("SELECT worst_nusd FROM batches")[0]
    assert 0.65e9 < held_nusd < 0.8e9  # what is left does not pay for the worst case of one question to the judge
    assert not judge.asked_online
    assert collect(mode=None).progress.answered == 10


def test_what_an_online_teacher_failed_to_answer_is_asked_again_by_the_next_run_alone(
    collect: Collect, batch_folder: Any, judge: BatchProvider, stored: Stored
) -> None:
    say(batch_folder, "judge", max_attempts=1)
    judge.refuse = lambda call, number: (500, {}, b"{}") if call == "chat" and number <= 4 else None
    assert collect(mode=None).progress.failed == 4
    assert judge.calls["chat"] == 10
    assert collect(mode=None).progress.answered == 4
    assert stored("SELECT count(*) FROM outcomes WHERE accepted") == [(20,)]


def test_an_online_teacher_that_is_unusable_leaves_the_batches_and_says_so(
    collect: Collect, batch_folder: Any, batches: BatchProvider, judge: BatchProvider
) -> None:
    say(batch_folder, "teacher", mode="online")
    say(batch_folder, "judge", mode="batch")
    collect(mode=None, wait=False, limit=15)  # ten online, five in a batch
    batch_folder.seeds("train.jsonl", [f"seed {number}" for number in range(12)])
    judge.looks_until_done = 10**6
    batches.refuse = lambda call, _: (401, {}, b"{}") if call == "chat" else None
    with pytest.raises(TeacherUnusable, match="10 requests in batches, which go on; take them in with"):
        collect(mode=None)


# --- auto


def test_auto_on_this_machine_stays_online_and_says_so(
    collect: Collect, batch_folder: Any, batches: BatchProvider
) -> None:
    said: list[str] = []
    say(batch_folder, "teacher", mode="auto", limits=LIMITS)
    assert collect(mode=None, say=said.append).progress.answered == 10
    assert said == ["teacher: asked online: it runs on this machine or network"]
    assert (len(batches.asked_online), len(batches.batches)) == (10, 0)


def test_auto_takes_batches_for_what_is_left_if_that_takes_long(
    collect: Collect, batch_folder: Any, batches: BatchProvider, monkeypatch: Any
) -> None:
    monkeypatch.setattr("harvester.modes._never", lambda _: None)  # as if the provider were a remote one
    said: list[str] = []
    say(batch_folder, "teacher", mode="auto", limits={"requests_per_minute": 4}, batch={"auto_hours": 2 / 60})
    assert collect(mode=None, wait=False, say=said.append).waiting == 10
    assert said[0].startswith("teacher: asked in batches: asking takes at least 0.0 hours at its limits, more than")
    assert not batches.asked_online
    batch_folder.seeds("train.jsonl", [f"seed {number}" for number in range(12)])
    said.clear()
    assert collect(mode=None, say=said.append).progress.answered == 12
    assert "teacher: asked online: asking takes at least 0.0 hours" in said[0]  # two of twelve are left
    assert (len(batches.asked), len(batches.asked_online)) == (10, 2)


def test_auto_looks_at_what_a_limit_lets_be_asked(
    collect: Collect, batch_folder: Any, batches: BatchProvider, monkeypatch: Any
) -> None:
    monkeypatch.setattr("harvester.modes._never", lambda _: None)
    say(batch_folder, "teacher", mode="auto", limits={"requests_per_minute": 4}, batch={"auto_hours": 2 / 60})
    assert collect(mode=None, limit=2).progress.answered == 2
    assert len(batches.asked_online) == 2


def test_accept_asks_one_by_one_where_the_recipe_leaves_that_open(
    collect: Collect, batch_folder: Any, batches: BatchProvider
) -> None:
    said: list[str] = []
    say(batch_folder, "teacher", mode="auto")
    assert collect(mode=None, accept=10, say=said.append).progress.accepted_rows == 10
    assert said == ["--accept is kept to by asking one by one: auto stays online"]
    say(batch_folder, "teacher", mode="batch")
    said_why = "--accept: a batch cannot be stopped at so many rows; leave it out, or add --online"
    with pytest.raises(BadInput, match=said_why):
        collect(mode=None, accept=3)


# --- from outside


def test_the_public_collect_does_as_the_recipe_says(batch_folder: Any, batches: BatchProvider, stored: Stored) -> None:
    batches.looks_until_done = 0
    say(batch_folder, "teacher", mode="batch")
    assert asyncio.run(collect_as_said(Recipe.load(batch_folder.path))).answered == 10
    assert answers(stored) == EVERY
    assert len(batches.batches) == 1


def test_the_command_does_as_the_recipe_says_and_as_it_is_told(
    batch_folder: Any, batches: BatchProvider, harvester: Any
) -> None:
    say(batch_folder, "teacher", mode="batch")
    code, out, errors = harvester("collect", batch_folder.path, "--no-wait", "--limit", "6", "--json")
    assert code == 0, errors
    assert json.loads(out)["waiting_in_batches"] == 6
    code, _, errors = harvester("collect", batch_folder.path, "--online")
    assert code == 0, errors
    assert "6 requests left alone: in batches, which go on; take them in with: harvester collect" in errors
    assert "--batch" not in errors
    assert len(batches.asked_online) == 4
    assert status(Recipe.load(batch_folder.path))["requests"] == {"answered": 4, "waiting_in_batches": 6}


def test_a_report_while_others_are_asked_is_of_the_whole_call(
    collect: Collect, batch_folder: Any, batches: BatchProvider, judge: BatchProvider
) -> None:
    seen: list[tuple[int, int]] = []
    batches.looks_until_done = 0
    judge.delay_s = 0.05
    say(batch_folder, "judge", limits={"concurrency": 1})
    collect(mode=None, report=lambda now: seen.append((now.answered, now.to_ask)), report_every_s=0.01)
    assert seen
    assert [answered for answered, _ in seen] == sorted(answered for answered, _ in seen)
    assert {to_ask for answered, to_ask in seen if answered > 10} == {20}


def test_a_log_hears_of_both_ways(collect: Collect, judge: BatchProvider) -> None:
    events: list[str] = []
    collect(mode=None, log=lambda event, _: events.append(event))
    wanted = ("run_started", "batch_submitted", "batch_ended")
    assert [event for event in events if event in wanted] == [*wanted, "run_started"]  # the second is of the judge
