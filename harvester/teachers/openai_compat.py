"""An OpenAI-compatible teacher: one POST, one whole reply. Retrying and pacing belong to its caller."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from harvester.errors import BadInput
from harvester.parsing import decode
from harvester.recipe import Teacher
from harvester.records import canonical, printable
from harvester.retry import BodyTooLarge, Received
from harvester.teachers.resolving import CheckedResolver

MAX_BODY_BYTES = 64 << 20
"""More than any completion with logprobs; a reply beyond it is cut off, not read into memory."""
MODELS_TIMEOUT_S = 10.0
MOST_NAME = 100  # characters of a model's name in a message
HIDDEN = b"[key]"
CONNECT_TIMEOUT = aiohttp.ClientTimeout(sock_connect=30)
"""Without a connection nothing was sent. What comes after it has the total deadline of the attempt, and no other."""
LEAST_KEY = 8
"""Characters: what is shorter (a dummy, for a server that wants none) would be found in ordinary words."""

STREAM = b',"stream":true}'
STREAM_WITH_USAGE = b',"stream":true,"stream_options":{"include_usage":true}}'
"""Ends of a body that asks for a stream. Transport, not question: neither stored nor part of a request's key."""


class OpenAICompatible:
    """Sends chat completion requests to one base URL.

    They go straight to the aiohttp session: any client above it would double the CPU of a request, and bring redirects
    and cookies that are not wanted here.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        session: aiohttp.ClientSession,
        timeout_s: float,
        *,
        key_from: str | None = None,
        stream_end: bytes = b"",
    ) -> None:
        """A teacher at `base_url` (up to and including /v1); asked for streams where `stream_end` says how.

        `key_from` is the variable that the key was read from.
        """
        self._base_url = base_url.rstrip("/")
        self.url = f"{self._base_url}/chat/completions"
        self.key_used = f"its key is read from {key_from}" if key_from else "it was sent no key: state api_key_env"
        self._headers = {"content-type": "application/json", "accept": "application/json", "user-agent": "harvester"}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._key = api_key.encode() if api_key and len(api_key) >= LEAST_KEY else None
        self._session = session
        self._timeout_s = timeout_s
        self._stream_end = stream_end

    async def send(self, body: bytes) -> Received:
        """POST a request body (canonical JSON) and read the whole reply, a stream to its end.

        Raises:
            TimeoutError: no whole reply within the teacher's total deadline; trickled bytes do not extend it.
            BodyTooLarge: the reply passed MAX_BODY_BYTES.
            AddressRefused: the host's name leads where the recipe does not allow it.
            aiohttp.ClientError, OSError: the connection failed; `retry.decide` knows what each means.
        """
        if self._stream_end:
            body = body[:-1] + self._stream_end
        async with (
            asyncio.timeout(self._timeout_s),
            self._session.post(
                self.url, data=body, headers=self._headers, allow_redirects=False, timeout=CONNECT_TIMEOUT
            ) as response,
        ):
            return Received(response.status, response.headers, self._without_key(await _read(response)))

    def _without_key(self, body: bytes) -> bytes:
        """Some teachers repeat the key in what they say: nobody further on gets to see it, the store least of all."""
        if self._key is None:
            return body
        body = body.replace(self._key, HIDDEN)
        if self._stream_end:  # it may be spread over several events
            with contextlib.suppress(ValueError):
                whole = canonical(decode(body))
                if self._key in whole:
                    return whole.replace(self._key, HIDDEN)
        return body

    async def models(self) -> list[str]:
        """Names of the models that the teacher says it has; empty where it does not say."""
        # Off the hot path httpx's client is the better one; over the same session, with the same checks of addresses.
        # Imported here: it takes a tenth of a start, and few runs ask this.
        import httpx  # noqa: PLC0415
        from httpx_aiohttp import AiohttpTransport  # noqa: PLC0415

        client = httpx.AsyncClient(transport=AiohttpTransport(client=self._session), trust_env=False)
        try:
            async with asyncio.timeout(MODELS_TIMEOUT_S):
                response = await client.get(f"{self._base_url}/models", headers=self._headers)
            return [printable(str(model["id"]))[:MOST_NAME] for model in response.raise_for_status().json()["data"]]
        except (
            httpx.HTTPError,
            aiohttp.ClientError,
            OSError,
            TimeoutError,
            ValueError,
            LookupError,
            TypeError,
            RecursionError,
        ):
            return []


async def _read(response: aiohttp.ClientResponse) -> bytes:
    chunks, size = [], 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise BodyTooLarge(f"reply larger than {MAX_BODY_BYTES >> 20} MiB")
        chunks.append(chunk)
    return b"".join(chunks)


def _stream_end(teacher: Teacher) -> bytes:
    if not teacher.streams:
        return b""
    return STREAM_WITH_USAGE if teacher.profile.stream_usage else STREAM


@dataclass(frozen=True, slots=True)
class Access:
    """What the environment gives for reaching a teacher."""

    key: str | None = None
    proxy: str | None = None  # URL


def access(teacher: Teacher, *, where: str, environ: Mapping[str, str] = os.environ) -> Access:
    """The teacher's key and proxy, of the variables that the recipe names; None for those it does not name.

    Raises:
        BadInput: a variable is not set, or holds what it cannot be.
    """
    key, proxy = (
        _value(getattr(teacher, field), f"{where}: teacher.{field}", environ) for field in ("api_key_env", "proxy_env")
    )
    if proxy and urlsplit(proxy).scheme != "http":
        raise BadInput(f"{where}: teacher.proxy_env: {teacher.proxy_env} is not the URL of a proxy, http://host:port")
    return Access(key, proxy)


def _value(name: str | None, where: str, environ: Mapping[str, str]) -> str | None:
    if name is None:
        return None
    value = environ.get(name, "").strip()
    if not value:
        raise BadInput(f"{where}: {name} is not set; export it and run again")
    if not (value.isascii() and value.isprintable()):
        raise BadInput(f"{where}: {name} holds control or non-ASCII characters, which cannot be right")
    return value


@asynccontextmanager
async def connect(teacher: Teacher, given: Access) -> AsyncIterator[OpenAICompatible]:
    """A connected client for a teacher's address; its connections close with the context."""
    async with connections(teacher, given) as session:
        yield OpenAICompatible(
            teacher.base_url, given.key, session, teacher.timeout_s,
            key_from=teacher.api_key_env, stream_end=_stream_end(teacher),
        )  # fmt: skip


@asynccontextmanager
async def connections(teacher: Teacher, given: Access) -> AsyncIterator[aiohttp.ClientSession]:
    """Connections to a teacher's address, whoever speaks over them; they close with the context.

    A proxy is asked by name for the teacher: what that name leads to is the proxy's to check.
    """
    proxy_host = urlsplit(given.proxy).hostname if given.proxy else None
    resolver = CheckedResolver(local=teacher.local, unchecked=proxy_host)
    # limit=0: the limiter bounds concurrency, a second bound in the pool would queue where nobody sees it.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60, resolver=resolver)
    session = aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, proxy=given.proxy
    )
    try:
        yield session
    finally:
        await session.close()
        await resolver.close()  # a connector closes only a resolver of its own
