"""An ended batch's files → stored replies, judged as all others; what has no answer is open again."""

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

from sqlalchemy import Connection

from harvester.batching.addressing import Addressee
from harvester.batching.api import Unavailable
from harvester.batching.lines import Failed
from harvester.batching.reconciling import Reconciliation, Settled, lines_of
from harvester.batching.told import Told
from harvester.budget import cost_nusd, worst_case_nusd
from harvester.flowing import Flow
from harvester.following import Following
from harvester.noticing import count_reason, notice, tell
from harvester.parsing import read_usage
from harvester.progress import Progress
from harvester.records import Json
from harvester.retry import Reply
from harvester.store import StoreReader, StoreWriter, batches
from harvester.store.batches import Batch, Member, Stray
from harvester.store.events import Lost, Replied, Unanswered
from harvester.store.journal import Journal
from harvester.store.writing import DONE, STOPPED
from harvester.teachers.openai_compat import HIDDEN, LEAST_KEY

MOST_KEPT = 1000
"""Lines of one batch that are set aside; of more than these only the number is kept."""


@dataclass(slots=True)
class Harvest:
    """What one batch brought so far."""

    answered: int = 0
    failed: int = 0
    missing: int = 0
    lost_nusd: int = 0
    quarantined: int = 0
    strays: list[Stray] = field(default_factory=list)
    stops: str | None = None  # why a strict teacher is asked no further

    @property
    def result(self) -> Json:
        """As the store keeps it."""
        return {name: getattr(self, name) for name in ("answered", "failed", "missing", "quarantined")}


@dataclass(frozen=True, slots=True)
class Ended:
    """A batch that its provider is done with."""

    batch: Batch
    told: Told
    of: Addressee


class Harvester:
    """Takes in ended batches of one plan's recipe."""

    def __init__(self, store: StoreWriter, flow: Flow, progress: Progress, say: Callable[[str], None]) -> None:
        """Into the store, by the flow's rules; `progress` counts."""
        self.store, self.flow, self.progress, self.say = store, flow, progress, say

    async def take_in(self, ended: Ended) -> Harvest:
        """Fetch what an ended batch brought, store it, judge it, and end the batch.

        A kill in the middle leaves the batch without an end: the next run takes it in again, and stores only what is
        not stored yet.

        Raises:
            Unavailable, Refused: its files cannot be fetched; nothing was taken in.
            StoreUnusable: the store can no longer be written.
        """
        with tempfile.TemporaryFile() as file:
            await self._fetch(ended, file)
            run_id = self.store.begin_run(self.flow.plan_id, self.flow.recipe.name, None, reopen=False)
            outcome = STOPPED
            try:
                found = await _Taking(self, ended, run_id).take(file)
                outcome = DONE
            finally:
                self.store.end_run(run_id, outcome=outcome)
        return found

    async def _fetch(self, ended: Ended, into: IO[bytes]) -> None:
        """The lines of both files, those of answers first."""
        told, of = ended.told, ended.of
        named = [file_id for file_id in (told.output_file_id, told.error_file_id) if file_id]
        if not named and told.status == "completed":
            raise Unavailable(f"{of.name}: it is completed, and names no file of answers")
        for file_id in named:
            with tempfile.TemporaryFile() as part:
                await of.api.download(file_id, part)
                for line in lines_of(part):
                    into.write(line + b"\n")


class _Taking:
    """One batch's harvest under way."""

    def __init__(self, by: Harvester, ended: Ended, run_id: int) -> None:
        self._store, self._progress, self._say, self._run_id = by.store, by.progress, by.say, run_id
        self._batch, self._told, self._of = ended.batch, ended.told, ended.of
        self._harvest = Harvest()
        self._errors: list[Exception] = []
        following = Following(by.flow, StoreReader(by.store.engine, by.store.path), by.progress)
        self._journal = Journal(by.store, following, lambda _: None, lambda: None, self._errors.append)
        self._members: dict[str, Member] = {}

    async def take(self, file: IO[bytes]) -> Harvest:
        self._members = {member.key: member for member in self._read_members()}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._journal.run())
                await self._put_all(file)
                self._journal.close()
        finally:
            self._journal.flush()
        if self._errors:
            raise self._errors[0]
        self._end()
        return self._harvest

    def _read_members(self) -> list[Member]:
        return self._store.apply_with([], lambda connection: list(batches.members(connection, self._batch.id)))

    async def _put_all(self, file: IO[bytes]) -> None:
        lines = Reconciliation(self._members)
        for raw in lines_of(file):
            await self._journal.room()
            found = lines.take(self._without_key(raw))
            if isinstance(found, Stray):
                self._set_aside(found)
            else:
                self._settle(self._members[found.key], found)
        missing = [self._members[key] for key in lines.missing]
        for member in missing:
            await self._journal.room()
            self._miss(member)
        self._harvest.lost_nusd += self._lost_with(missing)

    def _settle(self, member: Member, found: Settled) -> None:
        said = found.said
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
        self._harvest.failed += 1
        self._unanswered(member, why.reason, again=why.again)

    def _miss(self, member: Member) -> None:
        told, status = self._told, self._told.status
        reason = f"batch {status}: {told.problem}" if told.problem else f"batch {status} without an answer to it"
        self._harvest.missing += 1
        self._unanswered(member, reason, again=True)

    def _unanswered(self, member: Member, reason: str, *, again: bool) -> None:
        if member.answered:
            return
        self._progress.failed += 1
        count_reason(self._progress, reason)
        self._journal.put(Unanswered(member.request_id, reason, 1, again=again))

    def _lost_with(self, missing: list[Member]) -> int:
        """What may be billed for answers that are in no file: all of a completed batch, else as many as are counted."""
        worst = sorted((self._worst_nusd(member) for member in missing if not member.answered), reverse=True)
        if self._told.status == "completed":
            return sum(worst)
        harvest = self._harvest
        return sum(worst[: max(0, self._told.completed - harvest.answered)])

    def _worst_nusd(self, member: Member) -> int:
        return worst_case_nusd(self._of.price, member.body)

    def _set_aside(self, stray: Stray) -> None:
        self._harvest.quarantined += 1
        if len(self._harvest.strays) < MOST_KEPT:
            self._harvest.strays.append(stray)

    def _without_key(self, raw: bytes) -> bytes:
        key = self._of.key
        return raw.replace(key.encode(), HIDDEN) if key and len(key) >= LEAST_KEY else raw

    def _end(self) -> None:
        harvest = self._harvest
        lost = [Lost(self._run_id, harvest.lost_nusd, self._of.name)] if harvest.lost_nusd else []

        def end(connection: Connection) -> None:
            batches.set_aside(connection, self._batch.id, harvest.strays)
            batches.end(connection, self._batch.id, harvest.result)

        self._store.apply_with(lost, end)
