"""A server for a test, in a thread with a loop of its own, so that the code under test may block or be a process."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiohttp import web


@contextmanager
def serving_app(make: Callable[[], web.Application], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve what `make` makes on a free port; gives the URL up to `/v1`."""
    ready = threading.Event()
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = []

    async def serve() -> None:
        runner = web.AppRunner(make(), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        stopped = asyncio.Event()
        running.append((asyncio.get_running_loop(), stopped, runner.addresses[0][1]))
        ready.set()
        await stopped.wait()
        await runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}  # answers nobody waits for any more
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    if not ready.wait(10):
        raise AssertionError("the server did not start")
    loop, stopped, port = running[0]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}/v1"
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(10)
