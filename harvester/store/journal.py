"""Group commit: events queue up while the last group is being synced, then go to disk together."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from sqlalchemy import Connection

from harvester.store.events import Event, Judged, Replied
from harvester.store.pending import Pending
from harvester.store.writing import StoreWriter

LINGER_S = 0.03
"""How long a group waits for company; with the sync itself a reply is on disk within 50 ms."""

MAX_GROUP = 256
"""Events of a group, and those that wait for their commit before no more is asked: a kill costs them at most."""

Job = Callable[[], Sequence[Event]]
"""Judges what takes long, outside the store's thread."""


@dataclass(slots=True)
class Consequences:
    """What follows from a group that is on disk."""

    events: Sequence[Event] = ()  # for the next group
    jobs: Sequence[Job] = ()
    open: list[Pending] = field(default_factory=list)  # requests that can be asked from now on
    error: BaseException | None = None  # that came up when looking inside


class Follower(Protocol):
    """Looks inside what is stored; called in the store's thread."""

    @property
    def rules(self) -> str:
        """Digest of the rules by which it judges."""
        ...

    def before(self, connection: Connection, events: Sequence[Event]) -> None:
        """Called in a commit that has not written its events yet."""
        ...

    def within(self, connection: Connection, events: Sequence[Event]) -> Consequences:
        """What follows from events in the same commit."""
        ...

    def after(self, events: Sequence[Event]) -> Consequences:
        """What follows from events once they are on disk."""
        ...


class Journal:
    """Writes events from the event loop; the store's calls run in one thread of their own.

    Nothing looks inside a reply before it is safe: what the follower makes of a group goes into the next one.
    """

    def __init__(
        self,
        store: StoreWriter,
        follower: Follower,
        on_commit: Callable[[list[Pending]], None],
        on_idle: Callable[[], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        """A journal.

        Args:
            store: where it writes.
            follower: looks inside what is stored.
            on_commit: told after every commit, with the requests that can be asked from now on.
            on_idle: called when everything is on disk and everything that follows from it is known.
            on_error: told that a judge could not do its work; its rows stay unjudged.
        """
        self._store, self._follower = store, follower
        self._on_commit, self._on_idle, self._on_error = on_commit, on_idle, on_error
        # An event leaves the queue when it is on disk, not when its commit begins: no cancellation can lose it.
        self._queue: deque[Event] = deque()
        self._further: Sequence[Event] = ()
        self._jobs: set[asyncio.Task[None]] = set()
        self._closed = False
        self._committing = False
        self._changed = asyncio.Event()  # an event came, or the end
        self._written = asyncio.Event()
        self._answered_by: set[int] = set()  # runs
        self._judging = False  # outcomes follow from replies
        self._failed = False  # a judge could not do its work
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._judges = ThreadPoolExecutor(thread_name_prefix="judge")

    @property
    def idle(self) -> bool:
        """Whether everything is on disk, and everything that follows from it is known."""
        return not (self._queue or self._further or self._jobs or self._committing)

    @property
    def unsettled(self) -> int:
        """Events that are not on disk yet or not judged, about one for each answer."""
        return len(self._queue) + len(self._further) + len(self._jobs)

    def put(self, event: Event) -> None:
        """Queue an event. It never waits: nothing can come between a paid answer and its place in the queue."""
        self._queue.append(event)
        self._changed.set()

    async def room(self) -> None:
        """Wait while a whole group is not on disk yet, or not judged."""
        while len(self._queue) + len(self._jobs) >= MAX_GROUP:
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
        self._judges.shutdown(cancel_futures=True)
        self._store.apply(self._queue)
        self._queue.clear()

    async def run(self) -> None:
        """Commit groups until closed.

        Raises:
            StoreUnusable: the store can no longer be written.
        """
        async with asyncio.TaskGroup() as judging:
            while not (self._closed and self.idle):
                if not (self._queue or self._further):
                    self._changed.clear()
                    if self.idle:
                        self._on_idle()
                    await self._changed.wait()
                    continue
                await asyncio.sleep(LINGER_S)
                for job in await self._commit_next():
                    self._jobs.add(judging.create_task(self._judge(job)))
        await asyncio.get_running_loop().run_in_executor(self.thread, self._finish)

    async def _commit_next(self) -> Sequence[Job]:
        """Commit what followed from the last group and the next one; returns what is to be judged at leisure."""
        group = list(islice(self._queue, MAX_GROUP))
        self._committing = True
        commit: Future[Consequences] = self.thread.submit(self._commit, [*self._further, *group])
        try:
            found = await asyncio.shield(asyncio.wrap_future(commit))
        finally:
            # A cancellation waits for the commit: what is on disk must not be written again, and the rest must.
            if commit.exception() is None:
                self._further = commit.result().events
                for _ in group:
                    self._queue.popleft()
                self._written.set()
            self._committing = False
        if found.error:
            raise found.error
        self._on_commit(found.open)
        return found.jobs

    async def _judge(self, job: Job) -> None:
        """Judge what takes long; what it finds is queued."""
        task = asyncio.current_task()
        try:
            for event in await asyncio.get_running_loop().run_in_executor(self._judges, job):
                self.put(event)
        except Exception as error:  # noqa: BLE001 - a sandbox that is gone: what is in flight is stored first
            self._failed = True
            self._on_error(error)
        finally:
            if task is not None:
                self._jobs.discard(task)
            self._written.set()
            self._changed.set()

    def _commit(self, events: Sequence[Event]) -> Consequences:
        within = self._store.apply_with(
            events,
            lambda connection: self._follower.within(connection, events),
            first=lambda connection: self._follower.before(connection, events),
        )
        try:
            after = self._follower.after(events)
        except BaseException as error:  # noqa: BLE001 - the events are on disk all the same; written again they cost twice
            after = Consequences(error=error)
        self._answered_by |= {event.run_id for event in events if isinstance(event, Replied)}
        self._judging = self._judging or any(isinstance(event, Judged) for event in events)
        return Consequences([*within.events, *after.events], after.jobs, within.open, after.error)

    def _finish(self) -> None:
        """Note that nothing is left to judge, where that is so."""
        if self._judging and not self._failed:
            for run_id in self._answered_by:
                self._store.all_judged(run_id, self._follower.rules)
