"""A provider's stand-in over real HTTP: it answers, counts, and fails as a test scripts it."""

import asyncio
import json
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from aiohttp import web

from serving_thread import serving_app  # isort: skip - helpers beside the tests
from strict import Strict  # isort: skip
from wire_faults import Fault, Wire  # isort: skip

TOGETHER_S = 30.0
"""How long `together` requests are waited for; a client that never has so many in flight gets none answered."""
Reply = tuple[int, dict[str, str], bytes]
Script = Callable[[dict[str, Any], int], "Reply | Fault | None"]
"""(request body, how often this very body was asked before) → a reply or a fault of the test's own, or None for an
answer."""


def completion(content: str, *, finish_reason: str = "stop", **more: Any) -> bytes:
    """The body of a chat completion."""
    choice = {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", "content": content}}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return json.dumps({"id": "c", "model": "toy-1", "choices": [choice], "usage": usage, **more}).encode()


def last_line(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"]).strip().splitlines()[-1]


class AlreadyOnTheWire(web.StreamResponse):
    """Stands for what a fault wrote itself; the connection is closed after it."""

    def __init__(self) -> None:
        super().__init__()
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> None:
        pass

    async def write_eof(self, data: Any = b"") -> None:
        pass


@dataclass
class Provider:
    """Counts what it was asked; `strict` refuses, `script` decides what it says, `latency_s` how soon.

    Nothing is said before `together` requests were in flight at once: how many there are does not hang on how fast the
    machine is.
    """

    script: Script = lambda _body, _before: None
    answer: Callable[[dict[str, Any]], str] = lambda body: "answer to " + last_line(body)
    latency_s: float | Callable[[dict[str, Any], int], float] = 0.0  # a number, or the script's arguments → seconds
    together: int = 0
    strict: Strict | None = None
    models: list[str] = field(default_factory=list)  # what GET /v1/models lists; it is not there where this is empty
    asked: list[dict[str, Any]] = field(default_factory=list)
    asked_at: list[float] = field(default_factory=list)  # seconds, monotonic
    answered: list[dict[str, Any]] = field(default_factory=list)  # whole replies of status 200, handed to the network
    said: Counter[int | str] = field(default_factory=Counter)  # statuses, and faults by name
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""
    in_flight: int = 0
    most_in_flight: int = 0
    busy: list[tuple[float, int]] = field(default_factory=list)  # (seconds, in flight from then on)
    _seen: Counter[str] = field(default_factory=Counter)
    _all_there: asyncio.Event = field(default_factory=asyncio.Event)
    _arrived: threading.Condition = field(default_factory=threading.Condition)

    def wait_until_asked(self, times: int, by: "subprocess.Popen[str]") -> None:
        """Block the test (not the provider) until so many requests have come in all; `by` is who sends them."""
        deadline = time.monotonic() + 60
        with self._arrived:
            while not self._arrived.wait_for(lambda: len(self.asked) >= times, 0.2):
                if by.poll() is not None or time.monotonic() > deadline:
                    by.kill()
                    raise AssertionError(f"asked {len(self.asked)} times, not {times}: {by.communicate()[1]}")

    async def list_models(self, _request: web.Request) -> web.Response:
        if not self.models:
            raise web.HTTPNotFound
        return web.json_response({"object": "list", "data": [{"id": name} for name in self.models]})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        text = json.dumps(body, sort_keys=True)
        before = self._seen[text]
        self._seen[text] += 1
        with self._arrived:
            self.asked_at.append(time.monotonic())
            self.headers.append(dict(request.headers))
            self.asked.append(body)
            self._arrived.notify_all()
        self._count(1)
        try:
            said = await self._decide(body, before)
            if callable(said):
                self.said[getattr(said, "__name__", "fault")] += 1
                if request.transport:
                    await said(Wire(request.transport, completion(self.answer(body))))
                return AlreadyOnTheWire()
        finally:
            self._count(-1)
        status, headers, reply = said
        self.said[status] += 1
        response = web.Response(status=status, body=reply, content_type="application/json", headers=headers)
        await response.prepare(request)
        await response.write_eof()
        if status == 200:
            self.answered.append(body)
        return response

    async def _decide(self, body: dict[str, Any], before: int) -> "Reply | Fault":
        now = self.asked_at[-1]
        if self.strict and (refusal := self.strict.refusal(body, now)):
            return refusal
        told = self.strict.headers(body, now) if self.strict else {}
        if self.together:
            await asyncio.wait_for(self._all_there.wait(), TOGETHER_S)
        await asyncio.sleep(self.latency_s(body, before) if callable(self.latency_s) else self.latency_s)
        return self.script(body, before) or (200, told, completion(self.answer(body)))

    def _count(self, more: int) -> None:
        self.in_flight += more
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if 0 < self.together <= self.in_flight:
            self._all_there.set()
        self.busy.append((time.monotonic(), self.in_flight))

    def mean_in_flight(self, begin: float, end: float) -> float:
        """Over a span of time (seconds, monotonic)."""
        spans = [(max(at, begin), min(then, end), count) for (at, count), (then, _) in pairwise(self.busy)]
        return sum((then - at) * count for at, then, count in spans if then > at) / (end - begin)


def _routes(provider: Provider) -> web.Application:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", provider.handle)
    app.router.add_get("/v1/models", provider.list_models)
    return app


@contextmanager
def serving(provider: Provider, tls: ssl.SSLContext | None = None) -> Iterator[Provider]:
    """Serve in a thread of its own."""
    with serving_app(lambda: _routes(provider), tls) as provider.url:
        yield provider
