"""A transport that sends no header but those a call needs, and takes no reply larger than it may be."""

from collections.abc import AsyncIterator
from typing import cast

import httpx

from harvester.retry import BodyTooLarge

MOST_BYTES = 16 << 20
"""Of a reply that says how a batch is, or lists a hundred of them."""
MOST_FILE_BYTES = 16 << 30
"""Of a file of answers; it goes to disk, not into memory."""

SENT = frozenset(
    {"host", "accept", "accept-encoding", "authorization", "content-type", "content-length", "transfer-encoding"}
)
"""Headers that leave. The SDK adds others: what machine it runs on, and whatever variables of its own tell it to."""


class Guarded(httpx.AsyncBaseTransport):
    """Another transport, with fewer headers and an end to every body."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; its reply's body ends in BodyTooLarge where it does not end before."""
        named = {name: value for name, value in request.headers.items() if name in SENT}
        # The SDK reads of its own request, later, what it asked of itself in headers: they stay there.
        sent = httpx.Request(
            request.method,
            request.url,
            headers={**named, "user-agent": "harvester"},
            stream=request.stream,
            extensions=request.extensions,
        )
        if isinstance(request.stream, httpx.ByteStream):
            sent.read()  # so that it goes as a whole, not in chunks
        reply = await self._inner.handle_async_request(sent)
        stream = cast("httpx.AsyncByteStream", reply.stream)  # an asynchronous transport's
        is_file = request.method == "GET" and request.url.path.endswith("/content") and reply.is_success
        most = MOST_FILE_BYTES if is_file else MOST_BYTES
        return httpx.Response(
            reply.status_code,
            headers=reply.headers,
            stream=_Capped(stream, most),
            extensions=reply.extensions,
        )

    async def aclose(self) -> None:
        """Close the inner one."""
        await self._inner.aclose()


class _Capped(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, most: int) -> None:
        self._inner, self._left = inner, most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            self._left -= len(chunk)
            if self._left < 0:
                raise BodyTooLarge("reply larger than any that the Batch API gives")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
