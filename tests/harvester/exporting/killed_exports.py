"""Exports again and again in processes of their own that are killed; prints how many were.

    python killed_exports.py RECIPE OUT exchange|renames|random STATE...

With `random`, 25 of them at random instants. Else each is killed one step later than the one before, until one lives:
a step is a call to the system that is about OUT or what is beside it. `renames` takes the file system for one that
cannot exchange two folders. Each time the dataset must be in one of the states.
"""

import hashlib
import itertools
import os
import random
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from harvester.exporting import export, placing
from harvester.judging import Rules
from harvester.recipe import Recipe

EXCHANGE = ("ctypes.dlsym", "renameat2")
RANDOM = 25


def state(dataset: Path) -> str:
    """A digest over all of a folder's files."""
    files = sorted(path for path in dataset.rglob("*") if path.is_file())
    texts = [f"{path.relative_to(dataset)} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def main() -> None:
    recipe, out, how, allowed = Recipe.load(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], set(sys.argv[4:])
    if how == "renames":
        placing._exchanged = lambda _one, _other: False  # type: ignore[assignment]
    Rules(recipe), pa.array([""])  # import here what each of the processes would import by itself
    for number in range(RANDOM) if how == "random" else itertools.count():
        dies = at_random if how == "random" else partial(after, number, out.parent)
        was_killed = killed(dies, partial(export, recipe, out, unfiltered=number % 2 == 0))
        if how == "renames" and not out.exists():  # between the two; the next export puts it back
            placing._sweep(out)
        assert state(out) in allowed, (number, sorted(path.name for path in out.parent.iterdir()))
        if not was_killed and how != "random":
            break
    sys.stdout.write(f"{number}\n")


def killed(dies: Callable[[], object], work: Callable[[], object]) -> bool:
    """Whether a process that does the work was killed before it was done."""
    child = os.fork()
    if not child:
        dies()
        work()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or status == 0, status
    return status != 0


def after(steps: int, folder: Path) -> None:
    """Let this process live for so many steps."""

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal steps
        if (event, arguments[-1] if arguments else "") == EXCHANGE or any(str(folder) in str(one) for one in arguments):
            steps -= 1
            if steps < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def at_random() -> None:
    """Let this process live for about as long as an export takes; the system ends it, in whatever it is."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.001, 0.15))  # noqa: S311 - no secret


if __name__ == "__main__":
    main()
