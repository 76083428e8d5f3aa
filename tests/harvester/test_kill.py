"""kill -9 of the real process: nothing that was stored is asked again."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from harvester.collecting import collect as run_collect
from harvester.recipe import Recipe
from harvester.store import StoreReader

SEEDS = 300


def collect(folder: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "harvester", "collect", str(folder.path), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def stored_prompts(folder: Any) -> set[str]:
    with StoreReader.open(folder.path / "harvest.db") as reader:
        plan = reader.current_plan("toy")
        assert plan is not None
        return {json.loads(row.request_body)["messages"][0]["content"] for row in reader.rows(plan) if row.reply}


def kill_while_asking(folder: Any, provider: Any, after: int) -> None:
    """Kill the process when the provider was asked so often; nothing that came after is answered."""
    reached = threading.Event()

    def script(_body: dict[str, Any], _before: int) -> Any:
        if len(provider.asked) >= after:
            reached.set()

    provider.latency_s, provider.script = 0.05, script
    process = collect(folder)
    assert reached.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    provider.latency_s, provider.script = 0.0, lambda _body, _before: None


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


def test_killed_at_half_nothing_stored_is_asked_again(folder: Any, provider: Any) -> None:
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(SEEDS)])
    half = threading.Event()

    def script(_body: dict[str, Any], _before: int) -> None:
        if len(provider.asked) >= SEEDS // 2:
            half.set()

    provider.latency_s = 0.01
    provider.script = script
    process = collect(folder)
    assert half.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    stored = stored_prompts(folder)
    asked_first = [body["messages"][0]["content"] for body in provider.asked]
    assert 0 < len(stored) < SEEDS
    provider.asked.clear()
    provider.script = lambda _body, _before: None
    second = collect(folder)
    out, errors = second.communicate(timeout=60)
    assert second.returncode == 0, errors

    asked_again = [body["messages"][0]["content"] for body in provider.asked]
    assert stored.isdisjoint(asked_again)
    assert len(asked_again) == SEEDS - len(stored)
    repeated = len(set(asked_first) & set(asked_again))
    assert repeated <= json.loads(out)["maybe_asked_again"]
    assert len(stored_prompts(folder)) == SEEDS
