"""Open requests → a file → a batch: written down before each step, so that a kill between two makes none twice."""

import asyncio
import hashlib
import secrets
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from typing import IO

from sqlalchemy import Connection

from harvester.batching.addressing import Addressee
from harvester.batching.api import Refused, Unavailable
from harvester.batching.lines import request_line
from harvester.batching.told import Told
from harvester.budget import worst_case_nusd
from harvester.errors import StoreUnusable
from harvester.store import StoreWriter, batches
from harvester.store.batches import Batch, Intent
from harvester.store.writing import Pending

READ_AT_ONCE = 500
LOOK_AGAIN_S = 5.0
"""A batch that was made a moment ago may not be in the provider's list yet."""


class Sender:
    """Makes the batches of one plan."""

    def __init__(
        self,
        store: StoreWriter,
        *,
        plan_id: int,
        recipe: str,
        run_id: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """For the requests of a plan, in a run."""
        self._store, self._plan_id, self._recipe, self._run_id = store, plan_id, recipe, run_id
        self._sleep = sleep

    def write_down(self, to: Addressee, *, left_nusd: int | None, limit: int) -> Batch | None:
        """Take open requests for one file, as many as it, `left_nusd` and `limit` allow; None where there are none.

        A request that is larger than any file may be stays open, for who asks without batches.
        """
        most_bytes = to.terms.megabytes * 10**6
        request_ids: list[int] = []
        size = worst_nusd = 0
        hashed = hashlib.sha256()
        for pending, line in self._lines(to):
            if len(line) > most_bytes:
                continue
            cost_nusd = worst_case_nusd(to.price, pending.body)
            if left_nusd is not None and worst_nusd + cost_nusd > left_nusd:
                break
            if len(request_ids) >= min(limit, to.terms.requests) or size + len(line) > most_bytes:
                break
            request_ids.append(pending.request_id)
            size, worst_nusd = size + len(line), worst_nusd + cost_nusd
            hashed.update(line)
        if not request_ids:
            return None
        intent = Intent(
            secrets.token_hex(16), self._recipe, to.name, to.teacher_id, self._run_id, request_ids, hashed.hexdigest(),
            worst_nusd,
        )  # fmt: skip
        made = self._store.apply_with([], lambda connection: batches.add(connection, intent))
        return self._batch(made)

    def _lines(self, to: Addressee) -> Iterator[tuple[Pending, bytes]]:
        after = 0
        while page := self._open(to, after=after, limit=READ_AT_ONCE):
            after = page[-1].request_id
            ids = [pending.request_id for pending in page]
            keys = self._store.apply_with([], lambda connection: batches.keys(connection, ids))  # noqa: B023 - at once
            for pending in page:
                yield pending, request_line(keys[pending.request_id], pending.body)

    def has_open(self, to: Addressee) -> bool:
        """Whether there is anything that a batch could ask."""
        return bool(self._open(to, after=0, limit=1))

    def _open(self, to: Addressee, *, after: int, limit: int) -> list[Pending]:
        return self._store.pending(self._plan_id, after=after, limit=limit, teacher=to.name, of_batches=False)

    def _batch(self, number: int) -> Batch:
        live = self._store.apply_with([], lambda connection: batches.live(connection, self._recipe))
        return next(batch for batch in live if batch.id == number)

    async def send(self, batch: Batch, to: Addressee) -> Batch:
        """Upload what is not uploaded and create what is not created, wherever an earlier run was stopped.

        Raises:
            Refused: the provider will not have it; its requests are open again.
            Unavailable: it does not answer now; the next run goes on.
            StoreUnusable: the requests are not those that were written down.
        """
        file_id, told = batch.file_id, None
        if file_id is not None:  # an earlier run may have made the batch, and not have lived to hear of it
            told = await self._find(batch, file_id, to)
        if told is None:
            try:
                file_id = file_id or await self._upload(batch, to)
                told = await to.api.create(file_id, batch.token, to.terms.window)
            except Refused as error:
                result = {"refused": str(error)}
                self._store.apply_with([], lambda connection: batches.end(connection, batch.id, result))
                raise
        self._note(batch, batch_id=told.batch_id, status=told.status)
        return self._batch(batch.id)

    async def _upload(self, batch: Batch, to: Addressee) -> str:
        with self._file(batch) as file:
            file_id = await to.api.upload(f"harvester-{batch.token}.jsonl", file)
        self._note(batch, file_id=file_id)
        return file_id

    async def _find(self, batch: Batch, file_id: str, to: Addressee) -> Told | None:
        try:
            if found := await to.api.find(file_id, batch.token):
                return found
            await self._sleep(LOOK_AGAIN_S)
            return await to.api.find(file_id, batch.token)
        except Refused as error:  # as little as it says, the batch may be there
            raise Unavailable(
                f"{error}; so whether batch {batch.name} was made cannot be seen: look at the provider's own pages, and"
                f" only if it is not there: harvester batch cancel {batch.name} --forget"
            ) from None

    def _note(self, batch: Batch, **said: str) -> None:
        self._store.apply_with([], lambda connection: batches.note(connection, batch.id, **said))

    def _file(self, batch: Batch) -> IO[bytes]:
        """The batch's file, made again from its requests."""
        file, hashed = tempfile.TemporaryFile(), hashlib.sha256()  # noqa: SIM115 - the caller closes it

        def write(connection: Connection) -> None:
            for member in batches.members(connection, batch.id):
                line = request_line(member.key, member.body)
                hashed.update(line)
                file.write(line)

        self._store.apply_with([], write)
        if hashed.hexdigest() != batch.sha256:
            raise StoreUnusable(f"{self._store.path}: the requests of batch {batch.name} are not what they were")
        return file
