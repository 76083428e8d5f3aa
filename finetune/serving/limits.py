"""What clients may take of the server, whoever they are: connections, and the time that they say nothing."""

import asyncio
import json
import socket
from typing import cast

from aiohttp import web

from finetune.serving.refusals import REQUEST_TIMEOUT, UNAVAILABLE, Refused

IDLE_S = 75.0
"""For a request's headers to be there, from the connection's begin or the last reply on. Clients give up kept
connections earlier (openai's SDK after 5 s, proxies after 60): one that is closed while it is used again fails."""
BODY_S = 60.0
"""For the rest of a request, from its headers on."""
MOST_CONNECTIONS = 512
"""At once, idle ones too: more than requests can wait, and below the 1024 files that a process usually may open."""


async def read_body(request: web.Request) -> bytes:
    """A request's body.

    Raises:
        Refused: it is not there in time.
    """
    try:
        async with asyncio.timeout(BODY_S):
            return await request.read()
    except TimeoutError:
        message = f"the request's body did not arrive within {BODY_S:g} s"
        raise Refused(message, status=REQUEST_TIMEOUT, code="request_timeout") from None


async def accept(runner: web.AppRunner, listener: socket.socket) -> asyncio.Server:
    """Begins to take connections; those beyond `MOST_CONNECTIONS` are told so and closed.

    aiohttp's own sites take any number.
    """
    server = cast("web.Server", runner.server)  # it was set up

    def protocol() -> asyncio.Protocol:
        return server() if len(server.connections) < MOST_CONNECTIONS else _Full()

    return await asyncio.get_running_loop().create_server(protocol, sock=listener)


class _Full(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Says so, in OpenAI's shape, whatever will be asked."""
        writable = cast("asyncio.Transport", transport)
        refused = Refused("too many connections", status=UNAVAILABLE, code="too_many_connections")
        body = json.dumps(refused.body).encode()
        head = (
            f"HTTP/1.1 {UNAVAILABLE} Service Unavailable\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"
        )
        writable.write(head.encode() + body)
        writable.close()
