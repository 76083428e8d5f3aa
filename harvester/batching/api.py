"""Files and batches at one provider, by the openai SDK over connections of ours, with our own bounded retry."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import IO, Final, TypeVar, cast

import httpx
import openai
from httpx_aiohttp import AiohttpTransport

from harvester.batching import told
from harvester.batching.guarded import Guarded
from harvester.batching.told import Told
from harvester.errors import TeacherUnusable
from harvester.profiles import replied_at
from harvester.recipe import Teacher
from harvester.records import printable
from harvester.retry import FIRST_BACKOFF_S, MAX_BACKOFF_S, RETRIED_STATUSES, GiveUp, Received, Retry, decide
from harvester.teachers.openai_compat import HIDDEN, LEAST_KEY, Access, connections

T = TypeVar("T")

ENDPOINT: Final = "/v1/chat/completions"
METADATA = "harvester"
"""The name under which a batch's metadata has our token."""
ATTEMPTS = 6
CALL_TIMEOUT_S, FILE_TIMEOUT_S = 120.0, 3600.0
"""Total, per attempt: of a small reply, and of a file."""
TIMEOUT = httpx.Timeout(CALL_TIMEOUT_S, connect=30.0)
LISTED, MOST_PAGES = 100, 1000
NO_KEY = "none"


class Refused(TeacherUnusable):
    """The provider refuses a call for good; `status` is HTTP's, None where no reply came."""

    def __init__(self, reason: str, status: int | None) -> None:
        super().__init__(reason)
        self.status = status


class Unavailable(TeacherUnusable):
    """No attempt brought an answer; another time may."""


class BatchAPI:
    """Speaks the Batch protocol with one provider."""

    def __init__(
        self, sdk: openai.AsyncOpenAI, *, name: str, key: str | None, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        """Over a connected SDK; `name` is the recipe's for the teacher."""
        self._sdk, self._name, self._sleep = sdk, name, sleep
        self._key = key.encode() if key and len(key) >= LEAST_KEY else None

    async def upload(self, name: str, file: IO[bytes]) -> str:
        """Upload a file of requests; returns its id. A repeated upload leaves one file more there, and nothing else.

        Raises:
            Refused, Unavailable: as said there.
        """

        async def attempt() -> str:
            file.seek(0)
            made = await self._sdk.files.create(file=(name, file, "application/jsonl"), purpose="batch")
            return told.identified(made)

        return await self._call(attempt, FILE_TIMEOUT_S)

    async def create(self, file_id: str, token: str, window: str) -> Told:
        """Make the batch of an uploaded file, once: before another attempt it looks whether the last one made it.

        Raises:
            Refused, Unavailable: as said there.
        """
        again = False

        async def attempt() -> Told:
            nonlocal again
            if again and (found := await self._made_before(file_id, token)):
                return found
            again = True
            made = await self._sdk.batches.create(
                input_file_id=file_id,
                endpoint=ENDPOINT,
                completion_window=window,  # type: ignore[arg-type]  # some providers have another one
                metadata={METADATA: token},
            )
            return told.read(made)

        return await self._call(attempt)

    async def _made_before(self, file_id: str, token: str) -> Told | None:
        """Whether a create that brought no answer made its batch; a list that is refused is no refusal to make one."""
        try:
            return await self._find(file_id, token)
        except openai.APIStatusError as error:
            if error.status_code in RETRIED_STATUSES:
                raise
            where = f"HTTP {error.status_code} for its list of batches"
            raise Unavailable(f"{self._name}: whether a batch was made cannot be seen: {where}") from None

    async def find(self, file_id: str, token: str) -> Told | None:
        """The batch that was made of our file or bears our token, if there is one.

        Raises:
            Refused, Unavailable: as said there; also where the list has no end.
        """
        return await self._call(lambda: self._find(file_id, token))

    async def _find(self, file_id: str, token: str) -> Told | None:
        page = await self._sdk.batches.list(limit=LISTED)
        for _ in range(MOST_PAGES):
            for batch in page.data or []:
                if batch.input_file_id == file_id or (batch.metadata or {}).get(METADATA) == token:
                    return told.read(batch)
            if not page.has_next_page():
                return None
            page = await page.get_next_page()
        raise Unavailable(f"{self._name}: its list of batches has no end; cancel none, and run again")

    async def retrieve(self, batch_id: str) -> Told:
        """How far a batch is.

        Raises:
            Refused, Unavailable: as said there.
        """

        async def attempt() -> Told:
            reply = await self._sdk.batches.with_raw_response.retrieve(batch_id)
            return told.read(reply.parse(), replied_at(reply.headers))

        return await self._call(attempt)

    async def cancel(self, batch_id: str) -> Told:
        """Ask for a batch to be cancelled; what was answered by then is kept and paid for.

        Raises:
            Refused, Unavailable: as said there.
        """

        async def attempt() -> Told:
            return told.read(await self._sdk.batches.cancel(batch_id))

        return await self._call(attempt)

    async def download(self, file_id: str, into: IO[bytes]) -> None:
        """Write a file's whole content to `into`, from its beginning.

        Raises:
            Refused, Unavailable: as said there.
        """

        async def attempt() -> None:
            into.seek(0)
            into.truncate()
            async with self._sdk.files.with_streaming_response.content(file_id) as response:
                async for chunk in response.iter_bytes():
                    into.write(chunk)

        await self._call(attempt, FILE_TIMEOUT_S)

    async def _call(self, attempt: Callable[[], Awaitable[T]], timeout_s: float = CALL_TIMEOUT_S) -> T:
        number = 0
        while True:
            number += 1
            try:
                async with asyncio.timeout(timeout_s):
                    return await attempt()
            except TeacherUnusable:
                raise
            except Exception as error:  # noqa: BLE001 - an attempt's end is data; `_decide` re-raises what it does not know
                decision = self._decide(error)
                status = error.status_code if isinstance(error, openai.APIStatusError) else None
            if isinstance(decision, GiveUp):
                raise Refused(f"{self._name}: {decision.reason}", status)
            if number >= ATTEMPTS:
                raise Unavailable(f"{self._name}: {decision.reason}")
            wait_s = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2**number)
            await self._sleep(wait_s if decision.after_s is None else decision.after_s)

    def _decide(self, error: Exception) -> Retry | GiveUp:
        if isinstance(error, openai.APIStatusError):
            body = error.response.content
            body = body.replace(self._key, HIDDEN) if self._key else body
            decided = decide(Received(error.status_code, error.response.headers, body))
        elif isinstance(error, openai.APIConnectionError):
            why = printable(str(error.__cause__ or error))[:200]
            decided = Retry(f"connection lost: {why or type(error.__cause__).__name__}")
        elif isinstance(error, openai.APIError | ValueError):
            decided = Retry("reply is not what the Batch API says")
        else:
            decided = decide(error)
        return cast("Retry | GiveUp", decided)  # an error is never an answer


@asynccontextmanager
async def connected(
    name: str,
    teacher: Teacher,
    given: Access,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[BatchAPI]:
    """The Batch API of a teacher; its connections close with the context."""
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(connections(teacher, given))
        transport = Guarded(AiohttpTransport(client=session))
        client = httpx.AsyncClient(transport=transport, trust_env=False, follow_redirects=False, timeout=TIMEOUT)
        await stack.enter_async_context(client)
        sdk = openai.AsyncOpenAI(
            api_key=given.key or NO_KEY,
            base_url=teacher.base_url,
            max_retries=0,
            timeout=CALL_TIMEOUT_S,
            http_client=client,  # type: ignore[arg-type]  # it takes clients of httpx as well as of httpx2
        )
        yield BatchAPI(sdk, name=name, key=given.key, sleep=sleep)
