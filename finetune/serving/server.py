"""From a model to a server that runs until it is told to end."""

import asyncio
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from finetune.data import say
from finetune.errors import BadInput
from finetune.serving import limits
from finetune.serving.app import is_loopback, make_app
from finetune.serving.engine import Engine
from finetune.serving.served import Served, load
from harvester.records import count_of

LAST_WRITES_S = 10.0
"""For replies to reach their readers once everything is answered."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    base_url: str
    key: str
    model: str


Ready = Callable[[Running], None]


def serve(
    model: str,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    key_env: str | None = None,
    name: str | None = None,
    dtype: str | None = None,
    ready: Ready,
) -> None:
    """Serves a model until SIGTERM or Ctrl-C; what was asked by then is still answered.

    Args:
        model: a finished run's folder, `embedded`, a folder of a model or a hub id.
        host: where to listen.
        port: 0 takes a free one.
        key_env: the variable that holds the key; without one a key is made.
        name: what requests call the model.
        dtype: of the weights.
        ready: told once it answers.

    Raises:
        BadInput: the model cannot be loaded, the variable has no key, or the address cannot be had.
        TeacherUnusable: `embedded` is not in the cache and cannot be fetched.
    """
    key = secrets.token_urlsafe(32) if key_env is None else _key_of(key_env)
    # Before the model, which takes its time: an address that cannot be had is said at once.
    with _bound(host, port) as listener:
        served = load(model, name=name, dtype=dtype)
        if not is_loopback(host):
            say(f"--host {host}: others reach this over plain HTTP, key and texts readable; put TLS before it")
        asyncio.run(_until_told(served, listener, host=host, key=key, ready=ready))


@asynccontextmanager
async def running(engine: Engine, listener: socket.socket, *, host: str, key: str) -> AsyncIterator[Running]:
    """A server for the length of the context; what was asked by its end is answered."""
    engine.start()
    app = make_app(engine, key=key, host=host)
    runner = web.AppRunner(
        app,
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=LAST_WRITES_S,
        keepalive_timeout=limits.IDLE_S,
    )
    await runner.setup()
    accepting = await limits.accept(runner, listener)
    try:
        yield Running(_url(listener), key, engine.served.name)
    finally:
        engine.close()
        await asyncio.to_thread(engine.join)
        accepting.close()
        await runner.cleanup()


async def _until_told(served: Served, listener: socket.socket, *, host: str, key: str, ready: Ready) -> None:
    engine, told = Engine(served), asyncio.Event()

    def stop() -> None:
        if told.is_set():
            say("stopping now")
            engine.abandon()
            return
        engine.close()
        told.set()
        if left := engine.unanswered:
            say(f"stopping after {count_of(left, 'answer')} more; once more stops at once")

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    async with running(engine, listener, host=host, key=key) as found:
        ready(found)
        await told.wait()


def _key_of(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not key:
        # Not told: it may be the key itself, given by mistake.
        raise BadInput("--api-key-env: no variable of that name is set; export it, or leave it out for a random key")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise BadInput(f"--api-key-env: {variable} holds spaces, control or non-ASCII characters; set another key")
    return key


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise BadInput(f"--host {host}: no address of this machine ({error.strerror or error})") from error
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was closed just now is free
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise BadInput(f"--host {host} --port {port}: {error.strerror}; name another") from error
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared with, not bound to
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"
