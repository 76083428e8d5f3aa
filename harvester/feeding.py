"""One teacher's open requests → its workers; each is on disk as handed out before anybody can send it."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from harvester.store import StoreWriter
from harvester.store.journal import Journal
from harvester.store.writing import Pending

READ_AHEAD = 500
"""Open requests read from the store at once."""
MOST_FOLLOWING = 5000
"""Rows that follow from others and wait here; more of them wait in the store."""


class Allowance:
    """How many requests a run may still hand out, over all of its teachers, and which are in their queues."""

    def __init__(self, left: int, may_begin: Callable[[], bool] = lambda: True) -> None:
        """An allowance of `left`; what follows from no answer of this run waits until it may begin."""
        self.left, self.may_begin = left, may_begin
        self.queued: set[int] = set()  # of all lanes: two names may stand for one provider


class Feeder:
    """Reads a plan's open requests ahead of one teacher's workers; what follows from answers comes first."""

    def __init__(
        self,
        store: StoreWriter,
        journal: Journal,
        *,
        plan_id: int,
        teacher: str,
        allowance: Allowance,
        on_empty: Callable[[], None],
        left_over: bool = False,
    ) -> None:
        """A feeder of the requests that the plan asks of this teacher; tells when the store has been read.

        With `left_over`, of what batches left over alone.
        """
        self._of_batches = True if left_over else None
        self.on_empty = on_empty
        self._store, self._journal = store, journal
        self._plan_id, self._teacher, self._allowance = plan_id, teacher, allowance
        self._following: deque[Pending] = deque()
        self._planned: deque[Pending] = deque()
        self._came_meanwhile: set[int] = set()  # while the store was read
        self._in_store = True  # there may be open requests that are neither here nor handed out
        self._reading = False
        self._ended = False
        self._held_out = False  # hand out what is asked for dev and test alone
        self._changed = asyncio.Event()  # something to hand out, or the end
        self._low = asyncio.Event()

    @property
    def empty(self) -> bool:
        """Whether it has nothing to hand out now, and knows of nothing."""
        more = self._following or self._planned or self._in_store or self._reading
        return not more or not self._allowance.left

    @property
    def following(self) -> int:
        """How many requests that follow from answers wait here."""
        return len(self._following)

    def add(self, following: Iterable[Pending]) -> None:
        """Take requests that follow from stored answers; whoever waits looks again, though there be none."""
        for pending in filter(self._is_wanted, following):
            if pending.request_id in self._allowance.queued or self._store.mark.is_out(pending.request_id):
                continue  # of another row, too
            if len(self._following) < MOST_FOLLOWING:
                self._allowance.queued.add(pending.request_id)
                self._following.append(pending)
                if self._reading:
                    self._came_meanwhile.add(pending.request_id)
            else:
                self._in_store = True
                self._low.set()
        self._changed.set()

    def keep_held_out(self) -> None:
        """Hand out, from now on, only what is asked for dev and test."""
        self._held_out = True
        for queue in (self._following, self._planned):
            wanted = list(filter(self._is_wanted, queue))
            self._allowance.queued -= {pending.request_id for pending in queue if not pending.held_out}
            queue.clear()
            queue.extend(wanted)
        self._changed.set()
        self._low.set()

    def _is_wanted(self, pending: Pending) -> bool:
        return pending.held_out or not self._held_out

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True
        self._changed.set()
        self._low.set()

    async def next(self) -> Pending | None:
        """The next request to ask; None when there is none left.

        Raises:
            StoreUnusable: it cannot be noted that it is handed out.
        """
        while True:
            if self._ended or not self._allowance.left:
                return None
            if queue := self._following or (self._allowance.may_begin() and self._planned):
                pending = queue.popleft()
                self._allowance.queued.discard(pending.request_id)
                self._allowance.left -= 1
                self._store.mark.hand_out(pending.request_id)
                if len(self._planned) < READ_AHEAD // 2:
                    self._low.set()
                return pending
            self._low.set()
            self._changed.clear()
            await self._changed.wait()

    async def run(self) -> None:
        """Read the store's open requests, until all are here or the end is told."""
        while not self._ended:
            self._in_store, self._reading = False, True
            await self._read_all()
            self._reading = False
            self.on_empty()
            while not self._ended and not self._in_store:
                self._low.clear()
                await self._low.wait()

    async def _read_all(self) -> None:
        after = 0
        while not self._ended and self._allowance.left:
            batch = await self._read(after)
            if not batch:
                break
            after = batch[-1].request_id
            while len(self._planned) >= READ_AHEAD // 2 and not self._ended:
                self._low.clear()
                await self._low.wait()

    async def _read(self, after: int) -> list[Pending]:
        """The store's next open requests; those that are new go into the queue."""
        known = {*self._store.mark.outstanding, *self._allowance.queued}
        self._came_meanwhile.clear()
        size = min(READ_AHEAD, self._allowance.left)
        batch = await asyncio.get_running_loop().run_in_executor(
            self._journal.thread,
            lambda: self._store.pending(
                self._plan_id,
                after=after,
                limit=size,
                teacher=self._teacher,
                held_out=self._held_out,
                of_batches=self._of_batches,
            ),
        )
        known |= self._came_meanwhile
        new = [pending for pending in batch if pending.request_id not in known and self._is_wanted(pending)]
        self._planned += new
        self._allowance.queued.update(pending.request_id for pending in new)
        self._changed.set()
        return batch
