"""Worker processes for work that may hang, die or eat memory: each job ends in a result, or in a reason.

Workers start when they are first needed, are used again, and are killed when a job takes too long. Any number of
threads may call. Workers live in sessions of their own, so Ctrl-C reaches the run and not them; they end with the
process that started them, also when it is killed (`worker.main`).
"""

import atexit
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harvester.errors import StoppedEarly
from harvester.records import Json
from harvester.verify.base import Failed, one_line

START_S = 60.0
"""For a worker to start and to import what the job needs, on a machine that is busy."""
MOST_WORKERS = 4
LONGEST_REPLY = 1_000_000
_SECRETS = ("_API_KEY", "_TOKEN")
_START = "import sys; sys.path.append(sys.argv[1]); from harvester.verify.worker import main; main()"


class _Died(Exception):
    """The worker's pipe closed."""


class _Slow(Exception):
    """No reply in time."""


class _Worker:
    """One process, and what it wrote that is not read yet."""

    def __init__(self) -> None:
        # -P: nothing of the folder that a user happens to stand in is imported.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, str(Path(__file__).parents[2])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if not name.endswith(_SECRETS)},
            start_new_session=True,
            bufsize=0,
        )
        self._unread = b""

    def send(self, job: dict[str, Json]) -> None:
        line = json.dumps(job).encode() + b"\n"
        try:
            while line:
                line = line[self._process.stdin.write(line) or 0 :]  # type: ignore[union-attr] # it has a pipe
        except OSError:
            raise _Died from None

    def reply(self, timeout_s: float) -> dict[str, Json]:
        """The next reply.

        Raises:
            _Slow: not within `timeout_s`.
            _Died: it ended instead, or what it says is no reply.
        """
        pipe = self._process.stdout.fileno()  # type: ignore[union-attr] # it has a pipe
        until = time.monotonic() + timeout_s
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        while b"\n" not in self._unread:
            if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
                raise _Slow
            some = os.read(pipe, 1 << 16)
            self._unread += some
            if not some or len(self._unread) > LONGEST_REPLY:
                raise _Died
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            reply = json.loads(line)
        except ValueError:
            raise _Died from None
        return reply if isinstance(reply, dict) else {}

    def kill(self) -> None:
        """End it and what it started; returns when it is gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr] # it has both


class Workers:
    """A pool that grows to MOST_WORKERS; further callers wait for one to be free."""

    def __init__(self, most: int = MOST_WORKERS) -> None:
        self._free = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()

    def run(
        self,
        module: str,
        arguments: Sequence[Json],
        *,
        call: str = "run",
        prepare: Sequence[Json] = (),
        timeout_s: float,
        memory_mb: int,
    ) -> Json:
        """Do one job (see `worker`) in a process.

        Args:
            module: has `prepare` and the function.
            arguments: JSON values for the function.
            call: the function.
            prepare: JSON values for `prepare`.
            timeout_s: of the function alone.
            memory_mb: address space of the process, in MiB.

        Raises:
            Failed: it took too long or too much memory, raised, or ended its process.
            StoppedEarly: no worker can be started.
        """
        job: dict[str, Json] = {
            "module": module,
            "call": call,
            "prepare": list(prepare),
            "arguments": list(arguments),
            "timeout_s": timeout_s,
            "memory_bytes": memory_mb << 20,
        }
        with self._worker(job) as (worker, first):
            try:
                reply = worker.reply(timeout_s) if "ready" in first else first
            except _Slow:
                raise Failed(f"takes more than {timeout_s:g} s") from None
            except _Died:
                raise Failed("ends the process that it runs in") from None
        if "result" not in reply:
            raise Failed(one_line(str(reply.get("error", "gave no result"))))
        return reply["result"]

    def close(self) -> None:
        """Kill every worker."""
        with self._lock:
            workers, self._all, self._idle = self._all, set(), []
        for worker in workers:
            worker.kill()

    @contextlib.contextmanager
    def _worker(self, job: dict[str, Json]) -> Iterator[tuple[_Worker, dict[str, Json]]]:
        """A worker that has the job and said its first word; it is killed if the caller leaves by an exception."""
        with self._free:
            worker, reply = self._begin(job)
            try:
                yield worker, reply
            except BaseException:
                self._drop(worker)
                raise
            with self._lock:
                if worker in self._all:
                    self._idle.append(worker)

    def _begin(self, job: dict[str, Json]) -> tuple[_Worker, dict[str, Json]]:
        for fresh in (False, True):  # one that was idle may have died since
            worker = self._take(fresh=fresh)
            try:
                worker.send(job)
                return worker, worker.reply(START_S)
            except (_Died, _Slow):
                self._drop(worker)
            except BaseException:
                self._drop(worker)
                raise
        raise Failed(f"does not start within {START_S:.0f} s, or ends the process that it starts in")

    def _take(self, *, fresh: bool) -> _Worker:
        with self._lock:
            if self._idle and not fresh:
                return self._idle.pop()
            try:
                worker = _Worker()
            except OSError as error:
                problem = f"no worker process can be started ({error.strerror}); free memory or processes"
                raise StoppedEarly(f"verify: {problem}, then run the same command again") from None
            self._all.add(worker)
            return worker

    def _drop(self, worker: _Worker) -> None:
        with self._lock:
            self._all.discard(worker)
        worker.kill()


class _Pool:
    """The process's own workers: made when first asked for, forgotten by a fork's child, which must not use them."""

    def __init__(self) -> None:
        self.workers = Workers()
        self._forgotten: list[Workers] = []
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self._close)

    def _close(self) -> None:
        self.workers.close()

    def _forget(self) -> None:
        self._forgotten.append(self.workers)  # kept: their destructors would complain of processes not waited for
        self.workers = Workers()


_pool = _Pool()


def run(module: str, arguments: Sequence[Json], **options: Any) -> Json:
    """`Workers.run` by the process's own workers."""
    return _pool.workers.run(module, arguments, **options)
