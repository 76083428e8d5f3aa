"""An ended batch's files → stored replies, judged as all others; what has no answer is open again."""

import asyncio
import tempfile
from collections.abc import Callable
from typing import IO

from sqlalchemy import Connection

from harvester.batching.api import Unavailable
from harvester.batching.reconciling import lines_of
from harvester.batching.taking import Ended, Harvest, Taking
from harvester.flowing import Flow
from harvester.following import Following
from harvester.progress import Progress
from harvester.store import StoreReader, StoreWriter, batches
from harvester.store.events import Lost
from harvester.store.journal import Journal
from harvester.store.writing import DONE, STOPPED


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
                found = await self._take(ended, file, run_id)
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

    async def _take(self, ended: Ended, file: IO[bytes], run_id: int) -> Harvest:
        errors: list[Exception] = []
        reader = StoreReader(self.store.engine, self.store.path)
        following = Following(self.flow, reader, self.progress)
        journal = Journal(self.store, following, lambda _: None, lambda: None, errors.append)
        taking = Taking(reader, journal, ended, run_id=run_id, progress=self.progress, say=self.say)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(journal.run())
                found = await taking.take(file)
                journal.close()
        finally:
            journal.flush()
        if errors:
            raise errors[0]
        self._end(ended, found, run_id)
        return found

    def _end(self, ended: Ended, harvest: Harvest, run_id: int) -> None:
        lost = [Lost(run_id, harvest.lost_nusd, ended.of.name)] if harvest.lost_nusd else []

        def end(connection: Connection) -> None:
            batches.set_aside(connection, ended.batch.id, harvest.strays)
            batches.end(connection, ended.batch.id, harvest.result, leaves_over=ended.leaves_over)

        self.store.apply_with(lost, end)
