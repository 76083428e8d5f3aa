"""Pieces of a large dataset, made by several processes: the same pieces, in the same order, as one would make.

The store is read in this process, so that all of it is of one moment. Each worker has one block at a time; it ends
when its connection closes, also when this process is killed.
"""

import gc
import marshal
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from harvester.errors import HarvesterError, StoppedEarly
from harvester.exporting.pieces import SCHEMAS, Block, Maker, Piece, Task

if TYPE_CHECKING:
    from harvester.exporting.dataset import Exported

Places = list[tuple[str, str]]
"""Config and split of each batch of a piece."""

LARGE = 50_000
"""Rows from which on other processes are worth their start (0.7 CPU-seconds each)."""
MOST_WORKERS = 4
"""One process reads and writes for them all: more would wait for it."""
_PLAIN = 2
"""Of marshal's versions the last one that does not look for doubles."""
_START = "import sys; sys.path.append(sys.argv[1]); from harvester.exporting.workers import main; main()"


def how_many(rows: int) -> int:
    """How many workers so many rows are worth; 0: make the pieces in this process."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_WORKERS) if rows >= LARGE and cores > 1 else 0


def pieces(task: Task, blocks: Iterable[Block], *, workers: int) -> Iterator[Piece]:
    """The pieces that blocks come to, in their order.

    A recipe with Python functions is followed in this process: another one cannot get them, or not those of a script.

    Raises:
        BadInput: the student's template is wrong, or cannot be rendered with a row.
        StoreUnusable: a row is damaged.
        StoppedEarly: a worker was killed.
    """
    maker = Maker(task)  # with workers, too: it says at once what is wrong with the student's template
    if not workers or any(step.functions for step in task.recipe.steps):
        yield from map(maker.piece, blocks)
        return
    with ExitStack() as stack:
        crew = [stack.enter_context(_worker(task)) for _ in range(workers)]
        yield from _shared_out(crew, blocks)


def _shared_out(crew: Sequence[Connection], blocks: Iterable[Block]) -> Iterator[Piece]:
    """Blocks go round; a worker gets its next one before its last piece is looked at."""
    given = 0
    for given, block in enumerate(blocks, start=1):
        connection = crew[(given - 1) % len(crew)]
        done = _receive(connection) if given > len(crew) else None
        _give(connection, block)
        if done:
            yield done
    for number in range(max(0, given - len(crew)), given):
        yield _receive(crew[number % len(crew)])


def _give(connection: Connection, block: Block) -> None:
    try:
        # Numbers, texts and bytes alone: a third of the time that pickle takes.
        connection.send_bytes(marshal.dumps(block, _PLAIN))
    except OSError:
        raise _killed() from None


def _receive(connection: Connection) -> Piece:
    try:
        found: tuple[Exported, Places] | Exception = connection.recv()
        if isinstance(found, Exception):
            raise found
        counts, places = found
        return Piece([(*place, _batch(connection, place[0])) for place in places], counts)
    except (EOFError, OSError):
        raise _killed() from None


def _batch(connection: Connection, config: str) -> pa.RecordBatch:
    return pa.ipc.read_record_batch(pa.py_buffer(connection.recv_bytes()), SCHEMAS[config])


def _killed() -> HarvesterError:
    return StoppedEarly("a process that helped to export was killed, for want of memory maybe; run it again")


@contextmanager
def _worker(task: Task) -> Iterator[Connection]:
    ours, its = Pipe()
    # -P: nothing of the folder that a user happens to stand in is imported. A session of its own: Ctrl-C is for us.
    command = [sys.executable, "-P", "-c", _START, str(Path(__file__).parents[2]), str(its.fileno())]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[its.fileno()], start_new_session=True)
    its.close()
    try:
        with suppress(OSError):  # it says later that it was killed
            ours.send(task)
        yield ours
    finally:
        ours.close()
        process.wait()


def main() -> None:
    """A worker's life: a task, then blocks in and pieces out, until nobody is there any more."""
    connection = Connection(int(sys.argv[2]))
    with suppress(EOFError, OSError):
        task: Task = connection.recv()
        maker = Maker(task)
        gc.freeze()  # a sixth of the time went into looking through what was imported, again and again
        while True:
            block: Block = marshal.loads(connection.recv_bytes())  # noqa: S302 - from the process that started this one
            try:
                piece = maker.piece(block)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where the export was asked for
                connection.send(error)
            else:
                _hand_back(connection, piece)


def _hand_back(connection: Connection, piece: Piece) -> None:
    connection.send((piece.counts, [(config, split) for config, split, _ in piece.batches]))
    for _, _, batch in piece.batches:
        # By itself, as Arrow writes it: a pickle copies its columns, there and here, which takes 5 µs a row.
        connection.send_bytes(memoryview(batch.serialize()))
