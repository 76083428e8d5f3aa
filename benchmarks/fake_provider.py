"""A provider's stand-in in a process of its own: raw HTTP/1.1, so that on a small machine it is not what limits.

Prints its port, and a line when the first request comes; serves until SIGTERM, then prints what it saw as one JSON
object. Every time in it is in seconds from the first request.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import stat
import time
from collections import defaultdict, deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

BIN_S = 0.1
"""Counts are kept per tenth of a second."""
BACKLOG = 4096
WINDOW_S = 60.0
TEXT = "The order names three parts, a quantity for each of them and the day on which they are wanted. " * 3


class Limit(Protocol):
    """One strict limit: it is asked first and charged only when every limit lets the request pass."""

    def wait_s(self, amount: float, now: float) -> float:
        """Seconds until `amount` would pass; 0.0 if it passes now."""

    def take(self, amount: float, now: float) -> None:
        """Charge it."""


class Window:
    """At most `per_minute` in any sixty seconds."""

    def __init__(self, per_minute: float) -> None:
        self._per_minute, self._used = per_minute, 0.0
        self._taken: deque[tuple[float, float]] = deque()

    def wait_s(self, amount: float, now: float) -> float:
        """Seconds until enough has left the window."""
        while self._taken and self._taken[0][0] <= now - WINDOW_S:
            self._used -= self._taken.popleft()[1]
        over = self._used + amount - self._per_minute
        for at, taken in self._taken:
            if over <= 0:
                break
            over -= taken
            wait_s = at + WINDOW_S - now
            if over <= 0:
                return wait_s
        return 0.0

    def take(self, amount: float, now: float) -> None:
        """Charge it."""
        self._taken.append((now, amount))
        self._used += amount


class Bucket:
    """Refilled evenly; holds the amount of `seconds` at most."""

    def __init__(self, per_minute: float, seconds: float) -> None:
        self._per_s = per_minute / 60
        self._size = self._level = self._per_s * seconds
        self._at = 0.0

    def wait_s(self, amount: float, now: float) -> float:
        """Seconds until the bucket holds it."""
        level = min(self._size, self._level + (now - self._at) * self._per_s)
        return max(0.0, (amount - level) / self._per_s)

    def take(self, amount: float, now: float) -> None:
        """Charge it."""
        self._level = min(self._size, self._level + (now - self._at) * self._per_s) - amount
        self._at = now


class Provider:
    """Decides and counts; one object for all connections."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._random = random.Random(options.seed)  # noqa: S311 - latencies and lengths
        made: Callable[[float], Limit] = Window
        if options.limiter == "bucket":
            made = partial(Bucket, seconds=options.bucket_s)
        self._limits = [
            (kind, made(per_minute))
            for kind, per_minute in (("requests", options.rpm), ("tokens", options.tpm))
            if per_minute
        ]
        self._plain = _ok(options.prompt_tokens, options.completion_tokens[1])
        self._began: float | None = None
        self.in_flight = self.peak_in_flight = 0
        self.bins: defaultdict[str, defaultdict[int, float]] = defaultdict(lambda: defaultdict(float))
        self.last: dict[str, float] = {}

    def answer(self) -> tuple[float, bytes]:
        """(latency in seconds, reply) for a request that came now."""
        now = time.monotonic()
        if self._began is None:
            self._began = now
            print("asked", flush=True)
        now -= self._began
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        self._count("asked", now)
        latency_s, spread = self._options.latency_s, self._options.spread
        if spread:
            latency_s *= 1 + spread * (2 * self._random.random() - 1)
        if not self._limits:
            return latency_s, self._plain
        completion = self._random.randint(*self._options.completion_tokens)
        tokens = self._options.prompt_tokens + completion
        amounts = {"requests": 1.0, "tokens": float(tokens)}
        wait_s = max(limit.wait_s(amounts[kind], now) for kind, limit in self._limits)
        if wait_s > 0:
            self._count("refused", now)
            return 0.0, _refusal(wait_s if self._options.retry_after else None)
        for kind, limit in self._limits:
            limit.take(amounts[kind], now)
        self._count("accepted", now)
        self._count("tokens", now, tokens)
        return latency_s, _ok(self._options.prompt_tokens, completion)

    def replied(self) -> None:
        """A reply left."""
        self.in_flight -= 1
        self._count("replied", time.monotonic() - (self._began or 0.0))

    def _count(self, what: str, now: float, amount: float = 1.0) -> None:
        self.bins[what][int(now / BIN_S)] += amount
        self.last[what] = now

    def stats(self) -> dict[str, object]:
        """Everything seen, for the benchmark that started this process."""
        return {
            "bin_s": BIN_S,
            "bins": {what: sorted(bins.items()) for what, bins in self.bins.items()},
            "last_s": self.last,
            "peak_in_flight": self.peak_in_flight,
            "cpu_s": time.process_time(),
        }


class Connection(asyncio.Protocol):
    """Keep-alive HTTP/1.1 with Content-Length, as every client here speaks it."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every whole request in the buffer."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = _content_length(self._buffer[:end])
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            latency_s, reply = self._provider.answer()
            asyncio.get_running_loop().call_later(latency_s, self._reply, reply)

    def _reply(self, reply: bytes) -> None:
        self._provider.replied()
        if self._transport and not self._transport.is_closing():
            self._transport.write(reply)


def _content_length(head: bytes) -> int:
    lowered = head.lower()
    start = lowered.find(b"\r\ncontent-length:")
    return int(lowered[start + 17 :].split(b"\r\n", 1)[0]) if start >= 0 else 0


def _http(status: str, body: bytes, more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def _ok(prompt_tokens: int, completion_tokens: int) -> bytes:
    """About 600 bytes, as a short completion has."""
    message = {"role": "assistant", "content": TEXT.strip(), "refusal": None}
    reply = {
        "id": "chatcmpl-b9a2f1c07d5e4a63",
        "object": "chat.completion",
        "created": 1764000000,
        "model": "toy-1",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }
    return _http("200 OK", json.dumps(reply).encode())


def _refusal(wait_s: float | None) -> bytes:
    body = json.dumps({"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}).encode()
    # Whole seconds, rounded up: what the header can say.
    return _http("429 Too Many Requests", body, "" if wait_s is None else f"Retry-After: {int(wait_s) + 1}\r\n")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency-s", type=float, default=0.05)
    parser.add_argument("--spread", type=float, default=0.0, help="uniform: latency ± this share of it")
    parser.add_argument("--rpm", type=float, default=0.0, help="requests per minute; 0: no limit")
    parser.add_argument("--tpm", type=float, default=0.0, help="tokens per minute; 0: no limit")
    parser.add_argument("--limiter", choices=["window", "bucket"], default="window")
    parser.add_argument("--bucket-s", type=float, default=1.0, help="seconds of the limit that a full bucket holds")
    parser.add_argument("--no-retry-after", dest="retry_after", action="store_false")
    parser.add_argument("--prompt-tokens", type=int, default=60)
    parser.add_argument("--completion-tokens", type=int, nargs=2, default=[80, 80], metavar=("LEAST", "MOST"))
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM."""
    loop = asyncio.get_running_loop()
    provider, ended = Provider(options), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        loop.add_reader(0, ended.set)  # who started it is gone, perhaps killed
    server = await loop.create_server(lambda: Connection(provider), "127.0.0.1", 0, backlog=BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(provider.stats()), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(arguments()))
