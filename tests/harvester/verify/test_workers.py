"""Worker processes: whatever a job does, its caller gets a result or a reason, and nothing is left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harvester.errors import StoppedEarly
from harvester.verify import workers as module
from harvester.verify.base import Failed
from harvester.verify.workers import Workers

TASK = "hostile_task"


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setenv("SECRET_API_KEY", "canary")
    pool = Workers(2)
    yield pool
    pool.close()


def run(pool: Workers, *arguments: Any, timeout_s: float = 30.0, memory_mb: int = 2_048, **options: Any) -> Any:
    return pool.run(TASK, arguments, timeout_s=timeout_s, memory_mb=memory_mb, **options)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone_within(pid: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(pid)


def test_a_worker_is_used_again(pool: Workers) -> None:
    assert run(pool, "pid") == run(pool, "pid") != os.getpid()


def test_a_job_may_call_another_function_of_its_module(pool: Workers) -> None:
    assert pool.run(TASK, (1,), call="other", timeout_s=30, memory_mb=2_048) == 2


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("exit", "ends the process"),
        ("segfault", "ends the process"),
        ("leave", "SystemExit"),
        ("eat", "more than 2048 MiB of memory"),
        ("unsayable", "not JSON serializable"),
        ("lone", "half a pair"),
        ("huge", "ends the process"),
    ],
)
def test_what_goes_wrong_is_a_reason_and_the_next_job_runs(pool: Workers, what: str, reason: str) -> None:
    with pytest.raises(Failed, match=reason) as failed:
        run(pool, what)
    assert failed.value.reason.encode("utf-8")
    assert run(pool, "ok", 7) == 7


@pytest.mark.parametrize("what", ["spin", "stuck"])
def test_a_job_that_takes_too_long_is_killed(pool: Workers, what: str) -> None:
    pid = run(pool, "pid")
    with pytest.raises(Failed, match=r"takes more than 0\.2 s"):
        run(pool, what, timeout_s=0.2)
    assert not alive(pid)
    assert run(pool, "ok", 7) == 7


def test_what_a_job_prints_is_not_taken_for_its_result(pool: Workers) -> None:
    assert run(pool, "print", 7) == 7
    assert run(pool, "ok", 8) == 8


def test_a_worker_that_died_while_idle_is_replaced(pool: Workers) -> None:
    pid = run(pool, "pid")
    os.kill(pid, signal.SIGKILL)
    assert run(pool, "pid") != pid


def test_what_cannot_be_prepared_is_a_reason(pool: Workers) -> None:
    with pytest.raises(Failed, match="no such thing"):
        run(pool, "ok", prepare=("raise",))
    with pytest.raises(Failed, match="ends the process that it starts in"):
        run(pool, "ok", prepare=("die",))
    with pytest.raises(Failed, match="No module named 'no_such_module'"):
        pool.run("no_such_module", (), timeout_s=30, memory_mb=2_048)


def test_a_worker_knows_no_keys(pool: Workers) -> None:
    assert "SECRET_API_KEY" not in run(pool, "environment")


def test_many_threads_share_few_workers(pool: Workers) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda number: run(pool, "ok", number), range(40))) == list(range(40))
        pids = set(threads.map(lambda _: run(pool, "pid"), range(20)))
    assert len(pids) <= 2


def test_closing_kills_them(pool: Workers) -> None:
    pid = run(pool, "pid")
    pool.close()
    assert not alive(pid)


def test_where_no_process_can_be_started_the_run_stops_and_can_go_on(
    pool: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any, **__: Any) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(module.subprocess, "Popen", none)
    with pytest.raises(StoppedEarly, match="free memory or processes"):
        run(pool, "ok")


PARENT = """
import sys, time
from harvester.verify import workers
def job(*arguments):
    return workers.run("hostile_task", arguments, timeout_s=TIMEOUT, memory_mb=2048)
"""


def parent(code: str, timeout_s: float = 600.0) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    text = PARENT.replace("TIMEOUT", str(timeout_s)) + code
    return subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True, env=environment)


def test_no_worker_outlives_a_process_that_ends() -> None:
    with parent("print(job('pid'))") as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
    assert process.returncode == 0
    assert gone_within(pid, 20)


@pytest.mark.parametrize(("what", "timeout_s"), [("sleep", 600.0), ("spin", 600.0), ("stuck", 1.0)])
def test_no_worker_outlives_a_process_that_is_killed(
    what: str, timeout_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = tmp_path / "begun"
    monkeypatch.setenv("BEGUN", str(begun))
    with parent(f"print(job('pid'), flush=True); job('{what}', 600)", timeout_s) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        while not begun.exists():
            time.sleep(0.01)
        process.kill()
    assert gone_within(pid, 30)


def test_a_forked_child_uses_workers_of_its_own() -> None:
    code = """
import os
mine = job('pid')
if (child := os.fork()) == 0:
    os._exit(0 if job('pid') != mine and job('ok', 5) == 5 else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert job('pid') == mine
"""
    with parent(code) as process:
        pass
    assert process.returncode == 0


def test_a_waiting_caller_gets_the_worker_that_becomes_free(pool: Workers) -> None:
    begun = threading.Barrier(3)

    def take(number: int) -> Any:
        begun.wait(timeout=60)
        return run(pool, "ok", number)

    with ThreadPoolExecutor(3) as threads:
        assert sorted(threads.map(take, range(3))) == [0, 1, 2]
