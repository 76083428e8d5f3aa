"""`harvester status`: what is stored, and what goes on right now."""

import asyncio
import json
import signal
import time
from typing import Any

import pytest
from terminal import Terminal, terminal

from harvester import Recipe, Seeds, Step, Teacher, collect
from harvester.cli import texts
from harvester.collecting import default_store
from harvester.status import status
from harvester.store import StoreWriter
from harvester.watching import watch

from provider import Provider, completion, last_line  # isort: skip

FOUR_THEN_SILENCE = 4


@pytest.fixture
def held(folder: Any, provider: Provider) -> Any:
    """A recipe whose teacher answers four requests and lets the next ones wait."""
    provider.latency_s = lambda _body, _before: 0.0 if len(provider.asked) <= FOUR_THEN_SILENCE else 60.0
    return folder


def reported(folder: Any, session: Terminal) -> dict[str, Any]:
    """The status once the run has written down how far it is."""
    session.wait_for("in flight")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        now = status(Recipe.load(folder.path))
        if now["running"] and now["running"]["progress"]:
            return now
        time.sleep(0.05)
    raise AssertionError("no progress was ever written down")


def test_a_collection_under_way_is_said_so_with_what_it_waits_for(held: Any) -> None:
    with terminal("collect", held.path) as session:
        now = reported(held, session)
        assert now["running"]["pid"] == session.process.pid
        assert now["running"]["progress"]["to_ask"] == 10
        assert now["last_run"]["ended_at"] is None
        assert f"collecting now (pid {session.process.pid}, since" in texts.status(now)


def test_a_killed_collection_is_said_so_until_the_next_one_is_done(held: Any, provider: Provider) -> None:
    recipe = Recipe.load(held.path)
    with terminal("collect", held.path) as session:
        reported(held, session)
        session.process.kill()
        session.finish()
    after = status(recipe)
    assert (after["running"], after["last_run"]["outcome"]) == (None, "killed")
    assert "was killed; collect again to go on" in texts.status(after)
    provider.latency_s = 0.0
    asyncio.run(collect(recipe))
    after = status(recipe)
    assert (after["running"], after["last_run"]["outcome"]) == (None, "done")
    assert "last run" not in texts.status(after)


async def test_another_command_at_the_store_is_no_collection(folder: Any) -> None:
    recipe = Recipe.load(folder.path)
    await collect(recipe)
    with StoreWriter.open(default_store(recipe)):
        now = status(recipe)
    assert now["running"]["progress"] is None
    assert "another command writes to the store now" in texts.status(now)


async def test_replies_that_name_another_model_are_counted(folder: Any, provider: Provider) -> None:
    provider.script = lambda body, _: (
        (200, {}, completion("x", model="cheaper-1")) if "seed 3" in json.dumps(body) else None
    )
    recipe = Recipe.load(folder.path)
    await collect(recipe)
    now = status(recipe)
    assert now["other_models"] == {"cheaper-1": 1}
    assert "1 replies name another model: cheaper-1" in texts.status(now)


async def test_the_balance_compares_the_same_seeds(
    folder: Any, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harvester.status.LOOKED_AT", 12)
    labelled = [{"text": f"s{number}", "label": "xyz"[number % 3]} for number in range(30)]
    folder.write("train.jsonl", "".join(json.dumps(seed) + "\n" for seed in labelled))
    folder.write("answer.j2", "{{ text }} {{ label }}")
    folder.data["steps"][0] |= {"verify": {"regex": {"pattern": "x$"}}, "samples": 2}
    folder.save()
    provider.answer = last_line
    recipe = Recipe.load(folder.path)
    await collect(recipe)
    assert status(recipe)["balance"] == {"label": {"x": (4, 4), "y": (4, 0), "z": (4, 0)}}


async def test_whether_functions_are_still_the_same_is_not_told(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.path)
    recipe = Recipe(
        name="toy",
        teacher=Teacher(**folder.data["teacher"]),
        seeds=Seeds(path="train.jsonl"),
        steps=(Step(name="answer", prompt=lambda row: str(row["text"]), verify=lambda *_: True),),
        terms=folder.data["terms"],
    )
    await collect(recipe)
    now = status(recipe)
    assert now["judged_by_other_rules"] is None
    assert "other rules" not in texts.status(now)


async def test_the_rows_of_the_dataset_are_told_from_those_of_all_steps(folder: Any, provider: Provider) -> None:
    folder.write("grade.j2", "grade {{ steps.answer.text }}")
    folder.data["steps"][0]["samples"] = 2
    folder.data["steps"].append(
        {"name": "grade", "kind": "judge", "prompt": "grade.j2", "teacher": "teacher", "select": "best_of_n"}
    )
    folder.save()
    provider.answer = lambda body: '{"reason": "r", "score": 4}' if "grade" in json.dumps(body) else "an answer"
    recipe = Recipe.load(folder.path)
    await collect(recipe)
    text = texts.status(status(recipe))
    assert "  train: 40 rows of all steps, 40 accepted; the dataset has 10 of them\n" in text
    assert "  step grade, of train: 20 rows, 20 accepted" in text


async def test_rows_of_the_only_step_need_no_label(folder: Any) -> None:
    recipe = Recipe.load(folder.path)
    await collect(recipe)
    assert "  train: 10 rows, 10 accepted\n" in texts.status(status(recipe)) + "\n"


@pytest.mark.parametrize(
    ("progress", "says"),
    [
        (None, "since s): just begun"),
        ({"answered": 120, "to_ask": 300, "waiting": {}}, "since s): 120 of 300 answered"),
        (
            {"answered": 120, "to_ask": 300, "waiting": {"tokens": 4, "retry": 1}},
            "since s): 120 of 300 answered, waiting: 4 for tokens, 1 for retry",
        ),
    ],
)
async def test_the_line_on_a_running_collection(folder: Any, progress: Any, says: str) -> None:
    recipe = Recipe.load(folder.path)
    await collect(recipe)
    now = status(recipe)
    now["running"] = {"pid": 7, "host": "h", "since": "s", "progress": progress}
    now["last_run"]["ended_at"] = None
    assert f"  collecting now (pid 7, {says}" in texts.status(now).splitlines()


def test_watch_follows_a_collection_to_its_end(held: Any, provider: Provider, harvester: Any) -> None:
    with terminal("collect", held.path) as session:
        reported(held, session)
        watched = watch(Recipe.load(held.path), every_s=0.05)
        assert next(watched)["running"]["pid"] == session.process.pid
        session.process.send_signal(signal.SIGINT)
        session.wait_for(
            "again: leave at once"
        )  # a second signal while the first is pending is none: they are not queued
        session.process.send_signal(signal.SIGINT)
        session.finish()
        *_, last = watched
    assert (last["running"], last["last_run"]["outcome"]) == (None, "stopped")
    code, out, _ = harvester("watch", held.path)
    assert code == 0
    assert "stopped early; collect again to go on" in out
