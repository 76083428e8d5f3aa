"""A provider's stand-in over real HTTP: it answers, counts, and fails as a test scripts it."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from aiohttp import web

Reply = tuple[int, dict[str, str], bytes]
Script = Callable[[dict[str, Any], int], "Reply | None"]
"""(request body, how often this very body was asked before) → a reply of the test's own, or None for an answer."""


def completion(content: str, *, finish_reason: str = "stop", **more: Any) -> bytes:
    """The body of a chat completion."""
    choice = {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", "content": content}}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return json.dumps({"id": "c", "model": "toy-1", "choices": [choice], "usage": usage, **more}).encode()


def last_line(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"]).strip().splitlines()[-1]


@dataclass
class Provider:
    """Counts what it was asked; `script` decides what it says, `latency_s` how soon."""

    script: Script = lambda _body, _before: None
    answer: Callable[[dict[str, Any]], str] = lambda body: "answer to " + last_line(body)
    latency_s: float = 0.0
    asked: list[dict[str, Any]] = field(default_factory=list)
    asked_at: list[float] = field(default_factory=list)  # seconds, monotonic
    answered: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""
    in_flight: int = 0
    busy: list[tuple[float, int]] = field(default_factory=list)  # (seconds, in flight from then on)
    _seen: Counter[str] = field(default_factory=Counter)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        text = json.dumps(body, sort_keys=True)
        before = self._seen[text]
        self._seen[text] += 1
        self.asked.append(body)
        self.asked_at.append(time.monotonic())
        self.headers.append(dict(request.headers))
        self._count(1)
        try:
            await asyncio.sleep(self.latency_s)
            status, headers, reply = self.script(body, before) or (200, {}, completion(self.answer(body)))
        finally:
            self._count(-1)
        response = web.Response(status=status, body=reply, content_type="application/json", headers=headers)
        await response.prepare(request)
        await response.write_eof()
        if status == 200:
            self.answered.append(body)
        return response

    def _count(self, more: int) -> None:
        self.in_flight += more
        self.busy.append((time.monotonic(), self.in_flight))

    def mean_in_flight(self, begin: float, end: float) -> float:
        """Over a span of time (seconds, monotonic)."""
        spans = [(max(at, begin), min(then, end), count) for (at, count), (then, _) in pairwise(self.busy)]
        return sum((then - at) * count for at, then, count in spans if then > at) / (end - begin)


@contextmanager
def serving(provider: Provider) -> Iterator[Provider]:
    """Serve in a thread with a loop of its own, so that the code under test may block or be another process."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    runner: list[web.AppRunner] = []

    async def start() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", provider.handle)
        runner.append(web.AppRunner(app, shutdown_timeout=0.1))
        await runner[0].setup()
        site = web.TCPSite(runner[0], "127.0.0.1", 0)
        await site.start()
        port = runner[0].addresses[0][1]
        provider.url = f"http://127.0.0.1:{port}/v1"
        ready.set()

    async def stop() -> None:
        await runner[0].cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}  # answers nobody waits for any more
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def run() -> None:
        loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(stop())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    if not ready.wait(10):
        raise AssertionError("the provider did not start")
    try:
        yield provider
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
