"""Group commit: events queue up while the last group is being synced, then go to disk together."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from harvester.store.events import Event, Judged, Replied
from harvester.store.writing import StoreWriter

LINGER_S = 0.03
"""How long a group waits for company; with the sync itself a reply is on disk within 50 ms."""

MAX_GROUP = 500


class Journal:
    """Writes events from the event loop; the store's calls run in one thread of their own.

    `on_stored` is given the replies of each group after they are on disk and returns further events (the outcomes of
    all their rows) that go into the next group: nothing looks inside a reply before it is safe.
    """

    def __init__(self, store: StoreWriter, on_stored: Callable[[Sequence[Replied]], Sequence[Event]]) -> None:
        self._store = store
        self._on_stored = on_stored
        # Without a bound: `put` never waits, so that no cancellation can come between a paid answer and its place in
        # the queue. What is paid for and not yet here is bounded by the permits.
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._answered_by: set[int] = set()  # runs
        self._judged_by: set[str] = set()  # rules
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    def put(self, event: Event) -> None:
        """Queue an event."""
        self._queue.put_nowait(event)

    def close(self) -> None:
        """Let `run` return once everything queued so far is on disk."""
        self._queue.put_nowait(None)

    async def run(self) -> None:
        """Commit groups until closed.

        Raises:
            StoreUnusable: the store can no longer be written.
        """
        try:
            await self._run()
        finally:
            self.thread.shutdown()  # also when cancelled: nobody may use the store beside a commit under way

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        further: Sequence[Event] = []
        open_ = True
        while open_:
            group, open_ = await self._group()
            further = await loop.run_in_executor(self.thread, self._commit, [*further, *group])
        await loop.run_in_executor(self.thread, self._finish, further)

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

    async def _group(self) -> tuple[list[Event], bool]:
        """The next group, and whether more may follow."""
        first = await self._queue.get()
        if first is None:
            return [], False
        group = [first]
        await asyncio.sleep(LINGER_S)
        while len(group) < MAX_GROUP and not self._queue.empty():
            item = self._queue.get_nowait()
            if item is None:
                return group, False
            group.append(item)
        return group, True
