"""Teachers' servers over real HTTP, in a thread of their own. A helper, not a test."""

import asyncio
import inspect
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, TypeVar

from aiohttp import web

from finetune.serving.engine import Engine
from finetune.serving.served import Served
from finetune.serving.server import Running, running

KEY = "a-key-of-the-tests"
Given = TypeVar("Given")


@contextmanager
def in_thread(make: Callable[[], AbstractAsyncContextManager[Given]]) -> Iterator[Given]:
    """An asynchronous context in another thread's event loop: whoever asks it blocks this one."""
    ready, done = threading.Event(), threading.Event()
    found: list[Given] = []

    async def hold() -> None:
        try:
            async with make() as given:
                found.append(given)
                ready.set()
                await asyncio.to_thread(done.wait)
        finally:
            ready.set()

    thread = threading.Thread(target=lambda: asyncio.run(hold()))
    thread.start()
    try:
        assert ready.wait(30)
        yield found[0]
    finally:
        done.set()
        thread.join()


@contextmanager
def teacher(served: Served) -> Iterator[Running]:
    """`finetune serve` of a model."""

    @asynccontextmanager
    async def serving() -> AsyncIterator[Running]:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            async with running(Engine(served), listener, host="127.0.0.1", key=KEY) as server:
                yield server

    with in_thread(serving) as server:
        yield server


class Fake:
    """A server that says what a test wants; it keeps what it was sent.

    Args:
        replies: path → a JSON value or a response, a function of the request's body to one of them, or a handler.
    """

    def __init__(self, **replies: Any) -> None:
        self.replies = {"models": {"data": [{"id": "m", "max_model_len": 100}]}} | replies
        self.seen: list[web.BaseRequest] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        reply = self.replies.get(request.path.rpartition("/")[2], web.Response(status=404))
        if inspect.iscoroutinefunction(reply):
            reply = await reply(request)
        elif callable(reply):
            reply = reply(await request.json() if request.can_read_body else None)
        return reply if isinstance(reply, web.StreamResponse) else web.json_response(reply)


@contextmanager
def fake(**replies: Any) -> Iterator[Fake]:
    found = Fake(**replies)

    @asynccontextmanager
    async def serving() -> AsyncIterator[Fake]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", found.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            found.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
            await web.SockSite(runner, listener).start()
            try:
                yield found
            finally:
                await runner.cleanup()

    with in_thread(serving) as server:
        yield server
