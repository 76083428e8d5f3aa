"""Ctrl-C and SIGTERM: a wish to stop, then an order."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from finetune.data import say

Stop = Callable[[], bool]


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Turns the first Ctrl-C (or SIGTERM) into a wish to stop; a second one interrupts at once."""
    seen: list[int] = []

    def note(number: int, _frame: object) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)
        say("stopping after this step (again: at once)")

    try:
        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: signals are the caller's business
        before = {}
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
