"""The model thread: whatever waits when it is free becomes one batch."""

import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence

import torch

from finetune.serving.decoding import NotNumbersError, answer
from finetune.serving.refusals import INTERNAL, TOO_MANY, UNAVAILABLE, Refused, stopping
from finetune.serving.rows import Failure, Row
from finetune.serving.served import Served

MOST_ROWS = 32
MOST_TOKENS = 65_536
"""Of a batch with all that it may grow to, padding included: what bounds the memory of its keys and values."""
MOST_PAIRS = 1 << 28
"""Of tokens of which one may attend to the other, in a batch: the mask of padded prompts has a byte for each."""
MOST_WAITING = 256
LONGEST_RETRY_S = 30.0

NO_MEMORY = "the memory of the server does not hold this prompt with its answer; ask for fewer tokens"
NO_NUMBERS = "the model computed what is no number; its weights are damaged, or need float32"
A_BUG = "the server failed; its own output says why"


class Engine:
    """Answers rows in a thread of its own, batch after batch.

    Args:
        served: the model.
        most_waiting: rows beyond those that are being answered; more are refused.
        run: answers a batch.
    """

    def __init__(
        self,
        served: Served,
        *,
        most_waiting: int = MOST_WAITING,
        run: Callable[[Served, Sequence[Row]], None] = answer,
    ) -> None:
        self.served, self._most_waiting, self._run_batch = served, most_waiting, run
        self._waiting: deque[Row] = deque()
        self._running: Sequence[Row] = ()
        self._changed = threading.Condition()
        self._closing = False
        self._last_s = 1.0  # that a batch took
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)

    @property
    def closing(self) -> bool:
        """Whether nothing more is taken."""
        return self._closing

    @property
    def unanswered(self) -> int:
        """Rows that wait or are being answered."""
        with self._changed:
            return len(self._waiting) + len(self._running)

    def start(self) -> None:
        """Begins to answer."""
        self._thread.start()

    def submit(self, rows: Sequence[Row]) -> None:
        """Puts rows in the queue, all or none.

        Raises:
            Refused: too many wait, or the server is stopping.
        """
        with self._changed:
            if self._closing:
                raise stopping()
            self._waiting = deque(row for row in self._waiting if not row.dropped)
            if len(self._waiting) + len(rows) > self._most_waiting:
                retry_s = round(min(max(self._last_s, 1.0), LONGEST_RETRY_S))
                raise Refused(
                    f"{len(self._waiting)} prompts wait already; ask again in {retry_s} s",
                    status=TOO_MANY,
                    code="queue_full",
                    headers={"Retry-After": str(retry_s)},
                )
            self._waiting.extend(rows)
            self._changed.notify_all()

    def close(self) -> None:
        """Takes nothing more; what was taken is answered."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Takes nothing more and gives up what was taken; a step that is being computed still ends."""
        with self._changed:
            self._closing = True
            left = [*self._waiting, *self._running]
            self._waiting.clear()
            self._changed.notify_all()
        for row in left:
            row.dropped = True
            row.tell(Failure(UNAVAILABLE, "the server stopped"))

    def join(self) -> None:
        """Waits until everything that was taken is answered, after `close`."""
        self._thread.join()

    def _work(self) -> None:
        while rows := self._next_batch():
            begun = time.monotonic()
            self._answer(rows)
            self._last_s = time.monotonic() - begun
            with self._changed:
                self._running = ()

    def _next_batch(self) -> Sequence[Row]:
        """As many of those that have waited longest as fit into a batch; none once all is answered and closed."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            rows: list[Row] = []
            while self._waiting and _fits([*rows, self._waiting[0]]):
                rows.append(self._waiting.popleft())
            self._running = rows
            return rows

    def _answer(self, rows: Sequence[Row]) -> None:
        rows = [row for row in rows if not row.dropped]
        if not rows:
            return
        try:
            self._run_batch(self.served, rows)
        except torch.OutOfMemoryError:
            if len(rows) == 1 or any(row.begun for row in rows):
                _fail(rows, NO_MEMORY)
                return
        except NotNumbersError:
            _fail(rows, NO_NUMBERS)
            return
        except Exception as error:  # noqa: BLE001 - the next batch may be answered
            traceback.print_exception(error, file=sys.stderr)
            _fail(rows, A_BUG)
            return
        else:
            return
        for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
            self._answer(half)


def _fits(rows: Sequence[Row]) -> bool:
    """Whether rows may be one batch; one by itself always is."""
    longest = max(row.most_tokens for row in rows)
    pairs = max(len(row.prompt) for row in rows) ** 2
    within = len(rows) <= MOST_ROWS and len(rows) * longest <= MOST_TOKENS and len(rows) * pairs <= MOST_PAIRS
    return len(rows) == 1 or within


def _fail(rows: Sequence[Row], message: str) -> None:
    """Tells rows that there is no answer; to those that ended it is no news."""
    for row in rows:
        row.tell(Failure(INTERNAL, message))
