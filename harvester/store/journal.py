"""Group commit: events queue up while the last group is being synced, then go to disk together."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from harvester.store.events import Event, HandedOut, Replied
from harvester.store.writing import StoreWriter

LINGER_S = 0.02
"""How long a group waits for company; with the sync itself a reply is on disk within 50 ms."""

MAX_GROUP = 500


class Journal:
    """Writes events from the event loop; the store's calls run in one thread of their own.

    `on_stored` is given the replies of each group after they are on disk and returns further events (outcomes) that
    go into the next group: nothing looks inside a reply before it is safe.
    """

    def __init__(self, store: StoreWriter, on_stored: Callable[[Sequence[Replied]], list[Event]]) -> None:
        self._store = store
        self._on_stored = on_stored
        # Without a bound of its own: each worker has one event here at most, and hand-outs wait for their commit. So
        # `put` never waits, and no cancellation can come between a paid answer and its place in the queue.
        self._queue: asyncio.Queue[tuple[Event, asyncio.Future[None]] | None] = asyncio.Queue()
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    def put(self, event: Event) -> asyncio.Future[None]:
        """Queue an event; the future is done when it is on disk."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((event, stored))
        return stored

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
        further: list[Event] = []
        open_ = True
        while open_:
            group, open_ = await self._group()
            events = [event for event, _ in group]
            further = await loop.run_in_executor(self.thread, self._commit, further + events)
            for _, stored in group:
                if not stored.done():
                    stored.set_result(None)
        if further:
            await loop.run_in_executor(self.thread, self._commit, further)

    def _commit(self, events: list[Event]) -> list[Event]:
        self._store.apply(events)
        replied = [event for event in events if isinstance(event, Replied)]
        return self._on_stored(replied) if replied else []

    async def _group(self) -> tuple[list[tuple[Event, asyncio.Future[None]]], bool]:
        """The next group, and whether more may follow."""
        first = await self._queue.get()
        if first is None:
            return [], False
        group = [first]
        if not isinstance(first[0], HandedOut):  # workers wait for that one
            await asyncio.sleep(LINGER_S)
        while len(group) < MAX_GROUP and not self._queue.empty():
            item = self._queue.get_nowait()
            if item is None:
                return group, False
            group.append(item)
        return group, True
