"""An OpenAI-compatible teacher: one POST, one whole reply. Retrying and pacing belong to its caller."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from harvester.errors import BadInput
from harvester.recipe import Teacher
from harvester.retry import BodyTooLarge, Received

MAX_BODY_BYTES = 64 << 20
"""More than any completion with logprobs; a reply beyond it is cut off, not read into memory."""


class OpenAICompatible:
    """Sends chat completion requests to one base URL.

    The request is handed straight to the transport: httpx's client above it would double the CPU of a request, and
    brings redirects and cookies that are not wanted here.
    """

    def __init__(
        self, base_url: str, api_key: str | None, transport: httpx.AsyncBaseTransport, timeout_s: float
    ) -> None:
        """A teacher at `base_url` (up to and including /v1)."""
        self._url = httpx.URL(base_url.rstrip("/") + "/chat/completions")
        self._headers = {"content-type": "application/json", "accept": "application/json", "user-agent": "harvester"}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._transport = transport
        self._timeout_s = timeout_s

    async def send(self, body: bytes) -> Received:
        """POST a request body and read the whole reply.

        Raises:
            TimeoutError: no whole reply within the teacher's total deadline; trickled bytes do not extend it.
            BodyTooLarge: the reply passed MAX_BODY_BYTES.
            httpx.HTTPError, aiohttp.ClientError: the connection failed; `retry.decide` knows what each means.
        """
        request = httpx.Request("POST", self._url, headers=self._headers, content=body)
        async with asyncio.timeout(self._timeout_s):
            response = await self._transport.handle_async_request(request)
            try:
                received = await _read(response)
            finally:
                await response.aclose()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Received(response.status_code, headers, received)


async def _read(response: httpx.Response) -> bytes:
    chunks, size = [], 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise BodyTooLarge(f"reply larger than {MAX_BODY_BYTES >> 20} MiB")
        chunks.append(chunk)
    return b"".join(chunks)


def api_key(teacher: Teacher, *, where: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """The teacher's key from the environment; None where the recipe names no variable.

    Raises:
        BadInput: the variable is not set.
    """
    if teacher.api_key_env is None:
        return None
    key = environ.get(teacher.api_key_env, "").strip()
    if not key:
        raise BadInput(f"{where}: teacher.api_key_env: {teacher.api_key_env} is not set; export it and run again")
    if not (key.isascii() and key.isprintable()):
        raise BadInput(f"{where}: teacher.api_key_env: {teacher.api_key_env} holds characters that no key has")
    return key


@asynccontextmanager
async def connect(teacher: Teacher, key: str | None) -> AsyncIterator[OpenAICompatible]:
    """A connected client for a teacher's address; its connections close with the context."""
    # limit=0: the limiter bounds concurrency, a second bound in the pool would queue where nobody sees it.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
    session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
    transport = AiohttpTransport(client=session)
    try:
        yield OpenAICompatible(teacher.base_url, key, transport, teacher.timeout_s)
    finally:
        await transport.aclose()
