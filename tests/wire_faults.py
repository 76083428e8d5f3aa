"""What a provider can do to a connection instead of answering: bytes on the wire, hangs and cuts."""

import asyncio
import hashlib
import json
import random
import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True, slots=True)
class Wire:
    """One connection on which a whole request came, and the body of the answer that it would get."""

    transport: asyncio.Transport
    answer: bytes

    def head(self, *lines: str) -> None:
        """Begin a reply of status 200."""
        self.raw("\r\n".join(["HTTP/1.1 200 OK", "Content-Type: application/json", *lines, "", ""]).encode())

    def raw(self, data: bytes) -> None:
        self.transport.write(data)

    def chunk(self, data: bytes) -> None:
        """One chunk of `Transfer-Encoding: chunked`."""
        self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    def reset(self) -> None:
        """RST rather than FIN: the peer's read fails."""
        if self.gone:
            return
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    @property
    def gone(self) -> bool:
        return self.transport.is_closing()


Fault = Callable[[Wire], Awaitable[None]]
"""Runs in a reply's place; the connection is closed after it."""

BEAT_S = 0.02
"""Between the signs of life of a fault that never ends."""


async def reset_mid_body(wire: Wire) -> None:
    wire.head(f"Content-Length: {len(wire.answer)}")
    wire.raw(wire.answer[: len(wire.answer) // 2])
    await asyncio.sleep(BEAT_S)  # the first half arrives
    wire.reset()


async def reset_before_any_byte(wire: Wire) -> None:
    wire.reset()


async def close_before_any_byte(wire: Wire) -> None:
    wire.transport.close()


async def never_answer(wire: Wire) -> None:
    while not wire.gone:  # noqa: ASYNC110 - a transport tells nobody that it closes
        await asyncio.sleep(BEAT_S)


async def trickle(wire: Wire) -> None:
    """One byte at a time: the answer would be whole after minutes."""
    wire.head(f"Content-Length: {len(wire.answer)}")
    for byte in wire.answer:
        if wire.gone:
            return
        wire.raw(bytes([byte]))
        await asyncio.sleep(10 * BEAT_S)


def keep_alive(line: bytes, times: int | None = None) -> Fault:
    """Signs of life (b"\\n" as DeepSeek's, b": PROCESSING\\n\\n" as OpenRouter's); after `times` of them the answer."""

    async def fault(wire: Wire) -> None:
        wire.head("Transfer-Encoding: chunked")
        sent = 0
        while not wire.gone and sent != times:
            wire.chunk(line)
            sent += 1
            await asyncio.sleep(BEAT_S)
        wire.chunk(wire.answer)
        wire.chunk(b"")

    return fault


async def promise_more_than_is_sent(wire: Wire) -> None:
    wire.head(f"Content-Length: {len(wire.answer) + 1000}")
    wire.raw(wire.answer)


async def promise_less_than_is_sent(wire: Wire) -> None:
    wire.head(f"Content-Length: {len(wire.answer) // 2}")
    wire.raw(wire.answer)


async def gzip_garbage(wire: Wire) -> None:
    wire.head(f"Content-Length: {len(wire.answer)}", "Content-Encoding: gzip")
    wire.raw(wire.answer)


async def chunks_without_end(wire: Wire) -> None:
    wire.head("Transfer-Encoding: chunked")
    wire.chunk(wire.answer)


async def garbage_status_line(wire: Wire) -> None:
    wire.raw(b"HTP/9 banana\r\n\r\n" + wire.answer)


def seeded(seed: int, shares: Sequence[tuple[Any, float]]) -> Callable[[dict[str, Any], int], Any]:
    """A script in which each reply or fault happens to so large a share of the attempts, the same at every run."""
    says = [*(said for said, _ in shares), None]
    weights = [*(share for _, share in shares), 1 - sum(share for _, share in shares)]

    def script(body: dict[str, Any], before: int) -> Any:
        return chance_of(seed, before, body).choices(says, weights)[0]

    return script


def chance_of(*what: Any) -> random.Random:
    """A generator that follows from values alone, never from the order in which they come."""
    return random.Random(hashlib.sha256(json.dumps(what, sort_keys=True).encode()).digest())  # noqa: S311 - on purpose


@contextmanager
def closed_port() -> Iterator[int]:
    """A port of this machine that refuses every connection, and that nobody else can take meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def tls_without_certificate() -> ssl.SSLContext:
    """A server with which no handshake comes to an end."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def tls_self_signed(folder: Path) -> ssl.SSLContext:
    """A server with a certificate of its own making; needs the openssl command."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
