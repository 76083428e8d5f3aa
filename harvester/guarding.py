"""Limits on what others wrote and we run: a template that never ends, or eats the memory, is stopped."""

import resource
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

LIMIT_S = 3.0
"""Of CPU time, so that a busy machine stops nobody: a prompt takes a fraction of a millisecond."""
AGAIN_S = 0.1
"""An exception can get lost where Python lets none out (a finalizer): it is raised again until it gets through."""
LAST_S = 6.0
"""Python delivers signals between its own instructions only. What stays below them so long (comparing a structure that
holds itself twice, sixty times over) ends the whole process, by the system: it could not even be interrupted."""
HEADROOM_BYTES = 512 << 20
"""Of address space beyond what the process has: the largest prompt that is let through has a fiftieth of it."""
MEASURED_FOR_S = 0.1
"""Asking for the process's size costs as much as rendering a prompt: it is asked ten times a second."""

NO_TIMER = (0.0, 0.0)
STATM = Path("/proc/self/statm")


class TooMuch(Exception):
    """It took more time or memory than it may; the message says which."""


class _Stop(BaseException):
    """Ends what runs too long: no `except Exception` on the way swallows it."""


def within_limits(function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """Call a function that must not be trusted to end, or to be modest.

    Time is limited in the main thread only, where Python delivers signals. Memory is limited where the system tells
    a process's size (Linux), for the whole process while the call lasts.

    Raises:
        TooMuch: more than LIMIT_S seconds of CPU time, or HEADROOM_BYTES of memory.
    """
    main = threading.current_thread() is threading.main_thread()
    handler = memory = None
    timer = last = NO_TIMER
    try:
        if main:
            handler = _watch.installed()
            timer = signal.setitimer(signal.ITIMER_PROF, LIMIT_S, AGAIN_S)
            last = signal.setitimer(signal.ITIMER_VIRTUAL, LAST_S)
            _watch.on = True
        memory = _memory.limited()
        return function(*arguments, **named)
    except _Stop:
        _watch.on = False  # before any call: the next signal may be waiting for one
        problem = f"takes more than {LIMIT_S:.0f} s"
    except MemoryError:
        _watch.on = _watch.on and not main
        problem = f"takes more than {HEADROOM_BYTES >> 20} MiB of memory"
    finally:
        _watch.on = _watch.on and not main
        if main:
            signal.setitimer(signal.ITIMER_VIRTUAL, *last)
            signal.setitimer(signal.ITIMER_PROF, *timer)
            if handler:
                signal.signal(signal.SIGPROF, handler)
        if memory:
            resource.setrlimit(resource.RLIMIT_AS, memory)
    raise TooMuch(problem)  # out here, where nothing holds on to the frames and what they filled


class _Watch:
    """The handler of the timer's signal; while it is not `on` it does nothing."""

    def __init__(self) -> None:
        self.on = False
        self._stays = False

    def installed(self) -> Callable[[int, FrameType | None], Any] | None:
        """Install the handler; returns another's (a profiler's) that is to be put back."""
        if self._stays:
            return None
        before = signal.signal(signal.SIGPROF, self.stop)
        self._stays = not callable(before)  # nobody's place: staying in it makes the next call five times as cheap
        return before if callable(before) else None

    def stop(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler's arguments
        if self.on:
            raise _Stop


class _Memory:
    """Sets the limit, without measuring the process at every call."""

    def __init__(self) -> None:
        self._measured_at = -MEASURED_FOR_S
        self._before: tuple[int, int] = (0, 0)
        self._limit: tuple[int, int] | None = None

    def limited(self) -> tuple[int, int] | None:
        """Limit the process; returns the limits to put back, None where there is nothing to put back."""
        now = time.monotonic()
        if now - self._measured_at >= MEASURED_FOR_S:
            self._measured_at = now
            now_set = resource.getrlimit(resource.RLIMIT_AS)
            if now_set != self._limit:  # else a call in another thread is under way, and has set it
                self._before = now_set
            self._limit = _limit(self._before)
        if self._limit is None:
            return None
        resource.setrlimit(resource.RLIMIT_AS, self._limit)
        return self._before


def _limit(before: tuple[int, int]) -> tuple[int, int] | None:
    """(soft, hard) limit of the address space in bytes; None where the user's own is lower, or nothing can be told."""
    try:
        size = int(STATM.read_text(encoding="ascii").split()[0]) * resource.getpagesize() + HEADROOM_BYTES
    except (OSError, ValueError, IndexError):
        return None
    bounds = [bound for bound in before if bound != resource.RLIM_INFINITY]
    return None if bounds and min(bounds) <= size else (size, before[1])


_watch = _Watch()
_memory = _Memory()
