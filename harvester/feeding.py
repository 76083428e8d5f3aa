"""Open requests → workers, in order; each is on disk as handed out before anybody can send it."""

import asyncio

from harvester.store import StoreWriter
from harvester.store.journal import Journal
from harvester.store.writing import Pending

READ_AHEAD = 500
"""Open requests read from the store at once."""


class Feeder:
    """Reads a plan's open requests ahead of the workers."""

    def __init__(self, store: StoreWriter, journal: Journal, *, plan_id: int, run_id: int, limit: int) -> None:
        """A feeder of at most `limit` requests."""
        self._store, self._journal = store, journal
        self._plan_id, self._run_id, self._limit = plan_id, run_id, limit
        self._queue: asyncio.Queue[Pending | None] = asyncio.Queue(maxsize=READ_AHEAD)

    async def next(self) -> Pending | None:
        """The next request to ask; None when there is none left.

        Raises:
            StoreUnusable: it cannot be noted that it is handed out.
        """
        pending = await self._queue.get()
        if pending is None:
            self._queue.put_nowait(None)  # the end, for the next worker; nothing else is put any more
        else:
            self._store.mark.move(self._run_id, pending.request_id)
        return pending

    async def run(self) -> None:
        """Read until nothing is open or the limit is reached."""
        loop = asyncio.get_running_loop()
        after, left = 0, self._limit
        while left:
            size = min(READ_AHEAD, left)
            batch = await loop.run_in_executor(
                self._journal.thread,
                lambda: self._store.pending(self._plan_id, after=after, limit=size),  # noqa: B023 - awaited at once
            )
            for pending in batch:
                await self._queue.put(pending)
            if not batch:
                break
            after, left = batch[-1].request_id, left - len(batch)
        await self._queue.put(None)
