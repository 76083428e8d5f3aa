"""Group commit: events queue up while the last group is being synced, then go to disk together."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from harvester.store.events import Event, Judged, Replied
from harvester.store.writing import StoreWriter

LINGER_S = 0.03
"""How long a group waits for company; with the sync itself a reply is on disk within 50 ms."""

MAX_GROUP = 256
"""Events of a group, and those that wait for their commit before no more is asked: a kill costs them at most."""


class Journal:
    """Writes events from the event loop; the store's calls run in one thread of their own.

    `on_stored` is given the replies of each group after they are on disk and returns further events (the outcomes of
    all their rows) that go into the next group: nothing looks inside a reply before it is safe.
    """

    def __init__(self, store: StoreWriter, on_stored: Callable[[Sequence[Replied]], Sequence[Event]]) -> None:
        self._store = store
        self._on_stored = on_stored
        # An event leaves the queue when it is on disk, not when its commit begins: no cancellation can lose it.
        self._queue: deque[Event] = deque()
        self._closed = False
        self._changed = asyncio.Event()  # an event came, or the end
        self._written = asyncio.Event()
        self._answered_by: set[int] = set()  # runs
        self._judged_by: set[str] = set()  # rules
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    def put(self, event: Event) -> None:
        """Queue an event. It never waits: nothing can come between a paid answer and its place in the queue."""
        self._queue.append(event)
        self._changed.set()

    async def room(self) -> None:
        """Wait while a whole group is not on disk yet."""
        while len(self._queue) >= MAX_GROUP:
            self._written.clear()
            await self._written.wait()

    def close(self) -> None:
        """Let `run` return once everything queued so far is on disk."""
        self._closed = True
        self._changed.set()

    def flush(self) -> None:
        """Commit what is still queued where `run` was cancelled; nobody else uses the store any more.

        Raises:
            StoreUnusable: the store can no longer be written.
        """
        self.thread.shutdown()
        self._store.apply(self._queue)
        self._queue.clear()

    async def run(self) -> None:
        """Commit groups until closed.

        Raises:
            StoreUnusable: the store can no longer be written.
        """
        further: Sequence[Event] = []
        while self._queue or not self._closed:
            if not self._queue:
                self._changed.clear()
                await self._changed.wait()
                continue
            await asyncio.sleep(LINGER_S)
            further = await self._commit_next(further)
        await asyncio.get_running_loop().run_in_executor(self.thread, self._finish, further)

    async def _commit_next(self, further: Sequence[Event]) -> Sequence[Event]:
        """Commit the outcomes of the last group and the next one; returns that one's outcomes."""
        group = list(islice(self._queue, MAX_GROUP))
        commit: Future[Sequence[Event]] = self.thread.submit(self._commit, [*further, *group])
        try:
            return await asyncio.shield(asyncio.wrap_future(commit))
        finally:
            # A cancellation waits for the commit: what is on disk must not be written again, and the rest must.
            if commit.exception() is None:
                for _ in group:
                    self._queue.popleft()
                self._written.set()

    def _commit(self, events: Sequence[Event]) -> Sequence[Event]:
        self._store.apply(events)
        replied = [event for event in events if isinstance(event, Replied)]
        if not replied:
            return []
        further = self._on_stored(replied)
        self._answered_by |= {event.run_id for event in replied}
        self._judged_by |= {event.rules for event in further if isinstance(event, Judged)}
        return further

    def _finish(self, events: Sequence[Event]) -> None:
        """Commit the last outcomes, and note that nothing is left to judge."""
        self._store.apply(events)
        if len(self._judged_by) == 1:
            for run_id in self._answered_by:
                self._store.all_judged(run_id, *self._judged_by)
