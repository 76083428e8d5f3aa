"""What clients cannot take of the server: over real sockets, and within limits that a test need not wait for."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import pytest
from clients import KEY, http_client, serving

from finetune.serving import limits
from finetune.serving.decoding import answer
from finetune.serving.engine import Engine
from finetune.serving.rows import Row
from finetune.serving.served import Served
from finetune.serving.server import Running

HEAD = f"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
SOON_S, LATE_S = 0.05, 30.0


@asynccontextmanager
async def connected(server: Running) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    address = urlsplit(server.base_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
    finally:
        writer.close()


@pytest.mark.parametrize("said", ["", "POST /tok", HEAD, f"{HEAD}X-More: "])
async def test_who_never_ends_its_headers_is_left(served: Served, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setattr(limits, "IDLE_S", SOON_S)
    async with serving(Engine(served)) as server, connected(server) as (reader, writer):
        writer.write(said.encode())
        assert await asyncio.wait_for(reader.read(), LATE_S) == b""


async def test_bytes_that_trickle_in_do_not_extend_the_time(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "IDLE_S", SOON_S)
    async with serving(Engine(served)) as server, connected(server) as (reader, writer):

        async def trickle() -> None:
            while not reader.at_eof():
                writer.write(b"a: b\r\n")
                await asyncio.sleep(0)

        writer.write(HEAD.encode())
        trickling = asyncio.ensure_future(trickle())
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1 << 20), LATE_S)
        trickling.cancel()


async def test_an_idle_connection_is_left_after_its_reply_too(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "IDLE_S", SOON_S)
    async with serving(Engine(served)) as server, connected(server) as (reader, writer):
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), LATE_S)).startswith(b"HTTP/1.1 200 OK")


async def test_a_body_that_does_not_come_is_a_timeout(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_S", SOON_S)
    async with serving(Engine(served)) as server, connected(server) as (reader, writer):
        writer.write(f"{HEAD}Content-Length: 100\r\n\r\n{{".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LATE_S)
        assert head.startswith(b"HTTP/1.1 408 ")
        [length] = [int(line.split(b":")[1]) for line in head.splitlines() if line.startswith(b"Content-Length")]
        assert json.loads(await reader.readexactly(length))["error"]["code"] == "request_timeout"


async def test_an_answer_may_take_longer_than_a_request(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IDLE_S", "BODY_S"):
        monkeypatch.setattr(limits, name, SOON_S)
    go_on = threading.Event()

    def run(served: Served, rows: Sequence[Row]) -> None:
        assert go_on.wait(LATE_S)
        answer(served, rows)

    async with serving(Engine(served, run=run)) as server, http_client(server) as http:
        asyncio.get_running_loop().call_later(3 * SOON_S, go_on.set)
        reply = await http.post("/v1/completions", json={"model": "tiny", "prompt": "a", "max_tokens": 2})
        assert reply.status_code == 200


async def test_a_connection_too_many_is_told_so_and_another_fits_once_one_is_gone(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_CONNECTIONS", 3)
    async with serving(Engine(served)) as server, AsyncExitStack() as idle:
        first, *_ = [await idle.enter_async_context(connected(server)) for _ in range(3)]
        async with http_client(server) as http:
            refused = await http.get("/health")
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "too_many_connections")
            assert refused.headers["Retry-After"] == "5"
            first[1].close()
            await first[1].wait_closed()
            while (await http.get("/health")).status_code != 200:
                pass  # the server hears of it a moment later
