"""Jobs that no worker should be trusted with. What the tests of workers run; not a test."""

import os
import signal
import sys
import time
from pathlib import Path


def prepare(how: str = "") -> None:
    if how == "die":
        os._exit(3)
    if how == "raise":
        raise ImportError("no such thing")


def run(what: str, argument: int = 0) -> object:  # noqa: C901, PLR0911, PLR0912 - one line a deed
    if what != "pid" and "BEGUN" in os.environ:
        Path(os.environ["BEGUN"]).touch()
    if what == "pid":
        return os.getpid()
    if what == "sleep":
        time.sleep(argument)
    elif what == "spin":
        while True:
            pass
    elif what == "stuck":  # below Python: no other thread of the process gets a turn
        return 3 ** (10**9)
    elif what == "eat":
        return len("x" * (1 << 34))
    elif what == "exit":
        os._exit(0)
    elif what == "leave":
        sys.exit(0)
    elif what == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif what == "print":
        print('{"result": "forged"}', flush=True)  # noqa: T201 - the deed
        os.write(1, b'{"result": "forged"}\n')
    elif what == "environment":
        return sorted(os.environ)
    elif what == "unsayable":
        return {1, 2}
    elif what == "lone":
        raise ValueError("half a pair: \ud800")
    elif what == "huge":
        return "x" * 5_000_000
    return argument


def other(argument: int) -> int:
    return argument + 1
