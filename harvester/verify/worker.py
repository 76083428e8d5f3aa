"""The far end of `workers`: a process that does one job after the other until its standard input closes.

A job's module has `prepare(*arguments)`, which may take long once (imports), and the function that the job calls, which
is timed.
"""

import contextlib
import importlib
import json
import os
import queue
import resource
import signal
import threading
from typing import Any

GRACE_S = 2.0
Job = dict[str, Any]


def main() -> None:
    """Read jobs, one JSON object a line; write `{"ready": true}` and then the result of each."""
    jobs, replies = os.dup(0), os.dup(1)
    with open(os.devnull, "r+b") as nothing:  # noqa: PTH123 - a device; what jobs print must not look like a reply
        for stream in (0, 1, 2):
            os.dup2(nothing.fileno(), stream)
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(jobs, waiting), daemon=True).start()
    while True:
        _work(waiting.get(), replies)


def _listen(jobs: int, waiting: "queue.SimpleQueue[Job]") -> None:
    """The parent's death, however it comes, closes the pipe: this thread notices while a job is running."""
    with open(jobs, encoding="utf-8") as lines:
        for line in lines:
            waiting.put(json.loads(line))
    os._exit(0)


def _work(job: Job, replies: int) -> None:
    try:
        module = importlib.import_module(job["module"])
        module.prepare(*job["prepare"])
        _say(replies, {"ready": True})
        with _limited(job["timeout_s"], job["memory_bytes"]):
            result = getattr(module, job["call"])(*job["arguments"])
        _say(replies, {"result": result})
    except MemoryError:
        _say(replies, {"error": f"takes more than {job['memory_bytes'] >> 20} MiB of memory"})
    except BaseException as error:  # noqa: BLE001 - whatever a job does, it gets its reply (also SystemExit)
        _say(replies, {"error": _described(error)})


@contextlib.contextmanager
def _limited(timeout_s: float, memory_bytes: int) -> Any:
    """Memory up to a limit, and a last alarm: should the parent be gone too, the system ends what never yields."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = before[1] if before[1] != resource.RLIM_INFINITY else memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (min(memory_bytes, most), before[1]))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, timeout_s + GRACE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, before)


def _described(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - an exception of somebody else's, that cannot even say what it is
        return type(error).__name__


def _say(replies: int, reply: dict[str, Any]) -> None:
    line = json.dumps(reply).encode() + b"\n"
    while line:
        line = line[os.write(replies, line) :]
