"""kill -9 of the real process: nothing that was stored is asked again."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

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
