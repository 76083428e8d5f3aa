"""Lines of an ended batch's files → events for the store; of its requests a page is in memory at a time."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, TypeVar

from sqlalchemy import Connection

from harvester.batching.addressing import Addressee
from harvester.batching.lines import Failed
from harvester.batching.reconciling import Reconciliation, Settled, lines_of
from harvester.batching.told import Told
from harvester.budget import cost_nusd, worst_case_nusd
from harvester.noticing import count_reason, notice, tell
from harvester.parsing import read_usage
from harvester.progress import Progress
from harvester.records import Json
from harvester.retry import Reply
from harvester.store import StoreReader, batches
from harvester.store.batches import Batch, Member, Stray
from harvester.store.events import Replied, Unanswered
from harvester.store.journal import Journal
from harvester.teachers.openai_compat import HIDDEN, LEAST_KEY

T = TypeVar("T")
PAGE, PAGE_BYTES = 64, 1 << 20
"""Lines that are looked at together, and their size."""
MOST_KEPT, MOST_KEPT_BYTES = 1000, 16 << 20
"""Lines of one batch that are set aside; of more than these only the number is kept."""


@dataclass(slots=True)
class Harvest:
    """What one batch brought so far."""

    answered: int = 0
    failed: int = 0
    missing: int = 0
    lost_nusd: int = 0
    quarantined: int = 0
    requeued: int = 0  # of a batch that was given up: asked one by one from now on
    strays: list[Stray] = field(default_factory=list)
    stops: str | None = None  # why a strict teacher is asked no further

    @property
    def result(self) -> Json:
        """As the store keeps it."""
        return {name: getattr(self, name) for name in ("answered", "failed", "missing", "quarantined", "requeued")}


@dataclass(frozen=True, slots=True)
class Ended:
    """A batch that its provider is done with."""

    batch: Batch
    told: Told
    of: Addressee
    leaves_over: bool = False  # what it did not answer is asked one by one


class Taking:
    """One batch's harvest under way."""

    def __init__(
        self,
        reader: StoreReader,
        journal: Journal,
        ended: Ended,
        *,
        run_id: int,
        progress: Progress,
        say: Callable[[str], None],
    ) -> None:
        """By a journal that runs, as a run of its own; `reader` is of the same store, and `progress` counts."""
        self._reader, self._journal, self._run_id = reader, journal, run_id
        self._batch, self._told, self._of, self._leaves_over = ended.batch, ended.told, ended.of, ended.leaves_over
        self._progress, self._say = progress, say
        self._harvest = Harvest()
        self._kept_bytes = 0  # of the lines that are set aside

    async def take(self, file: IO[bytes]) -> Harvest:
        """Queue what the lines of a file say, and what becomes of the requests without one."""
        keys = await self._in_store(lambda connection: batches.keys_in(connection, self._batch.id))
        lines = Reconciliation(keys)
        for page in _pages(self._without_key(raw) for raw in lines_of(file)):
            await self._put([lines.take(raw) for raw in page])
        worst_nusd: list[int] = []
        missing = lines.missing
        for begin in range(0, len(missing), PAGE):
            worst_nusd += await self._put_missing(missing[begin : begin + PAGE])
        self._harvest.lost_nusd += self._lost_with(worst_nusd)
        return self._harvest

    async def _members(self, keys: Sequence[str]) -> Mapping[str, Member]:
        """Some of the batch's requests, by their keys."""
        return await self._in_store(lambda connection: batches.members_named(connection, keys))

    async def _in_store(self, read: Callable[[Connection], T]) -> T:
        """What a query finds, in the one thread that uses the store now."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._journal.thread, lambda: self._reader.read(read))

    # --- what a line says

    async def _put(self, found: Sequence[Settled | Stray]) -> None:
        """Queue what a page of lines says, once there is room for it."""
        members = await self._members([one.key for one in found if isinstance(one, Settled)])
        await self._journal.room()
        for one in found:
            if isinstance(one, Stray):
                self._set_aside(one)
            else:
                self._settle(members[one.key], one.said)

    def _settle(self, member: Member, said: Reply | Failed) -> None:
        if isinstance(said, Failed):
            self._fail(member, said)
            if said.maybe_billed:
                self._harvest.lost_nusd += self._worst_nusd(member)
            return
        self._harvest.answered += 1
        if not member.answered:  # else by an earlier harvest of this batch, that was killed
            self._keep(member, said)

    def _keep(self, member: Member, reply: Reply) -> None:
        of = self._of
        noticed = notice(member.body, reply.decoded, of.teacher)
        self._journal.put(
            Replied(
                member.request_id,
                of.teacher_id,
                self._run_id,
                reply.received.body,
                cost_nusd(of.price, read_usage(reply.decoded), self._worst_nusd(member)),
                1,
                teacher=of.name,
                other_model=noticed.other_model,
                lacks_logprobs=noticed.lacks_logprobs,
                decoded=reply.decoded,
            )
        )
        self._progress.answered += 1
        stops = tell(noticed, of.name, of.teacher, self._progress, self._say)
        self._harvest.stops = self._harvest.stops or stops

    def _fail(self, member: Member, why: Failed) -> None:
        if self._leaves_over and why.again:
            self._harvest.requeued += 1
            return
        self._harvest.failed += 1
        self._unanswered(member, why.reason, again=why.again)

    def _unanswered(self, member: Member, reason: str, *, again: bool) -> None:
        if member.answered:
            return
        self._progress.failed += 1
        count_reason(self._progress, reason)
        self._journal.put(Unanswered(member.request_id, reason, 1, again=again))

    def _set_aside(self, stray: Stray) -> None:
        harvest = self._harvest
        harvest.quarantined += 1
        self._kept_bytes += len(stray.raw)
        if len(harvest.strays) < MOST_KEPT and self._kept_bytes <= MOST_KEPT_BYTES:
            harvest.strays.append(stray)

    def _without_key(self, raw: bytes) -> bytes:
        key = self._of.key
        return raw.replace(key.encode(), HIDDEN) if key and len(key) >= LEAST_KEY else raw

    # --- what no line speaks of

    async def _put_missing(self, keys: Sequence[str]) -> list[int]:
        """Queue that requests have no line; returns the worst cases of those without an answer, in nano-dollars."""
        members = (await self._members(keys)).values()
        await self._journal.room()
        for member in members:
            self._miss(member)
        return [self._worst_nusd(member) for member in members if not member.answered]

    def _miss(self, member: Member) -> None:
        told, status = self._told, self._told.status
        reason = f"batch {status}: {told.problem}" if told.problem else f"batch {status} without an answer to it"
        if self._leaves_over:
            self._harvest.requeued += 1
            return
        self._harvest.missing += 1
        self._unanswered(member, reason, again=True)

    def _lost_with(self, worst_nusd: Sequence[int]) -> int:
        """What may be billed for answers that are in no file: all of a completed batch, else as many as are counted."""
        if self._told.status == "completed":
            return sum(worst_nusd)
        uncounted = max(0, self._told.completed - self._harvest.answered)
        return sum(sorted(worst_nusd, reverse=True)[:uncounted])

    def _worst_nusd(self, member: Member) -> int:
        return worst_case_nusd(self._of.price, member.body)


def _pages(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    page: list[bytes] = []
    size = 0
    for line in lines:
        page.append(line)
        size += len(line)
        if len(page) == PAGE or size >= PAGE_BYTES:
            yield page
            page, size = [], 0
    if page:
        yield page
