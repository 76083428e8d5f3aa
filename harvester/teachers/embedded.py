"""The embedded teacher: a real SmolLM2 behind llama.cpp's OpenAI-compatible server, in a process of its own."""

import asyncio
import contextlib
import importlib.util
import json
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from harvester.errors import BadInput, TeacherUnusable, how_to_install
from harvester.teachers.weights import MODEL_NAME, embedded_weights

TOKENS_PER_SLOT = 2048
START_TIMEOUT_S = 120.0
KEY_VARIABLE = "HARVESTER_TEACHER_API_KEY"


@dataclass(frozen=True, slots=True)
class Running:
    """Where a started server listens, and the key that it asks for."""

    base_url: str
    key: str
    ended: "asyncio.Future[str]"  # done when the server's process ends by itself, with the last line it wrote


@asynccontextmanager
async def running(model: str, *, slots: int, where: str) -> AsyncIterator[Running]:
    """Run the server for the length of the context, on a free loopback port behind a fresh key.

    Args:
        model: the recipe's model name; there is one.
        slots: requests answered at once.
        where: the recipe's file, for messages.

    Raises:
        BadInput: another model name.
        TeacherUnusable: not installed, no weights, or the server does not start.
    """
    if model != MODEL_NAME:
        raise BadInput(f"{where}: teacher.model: the embedded teacher is {MODEL_NAME}, not {model!r}")
    require_runtime()
    embedded_weights()  # here, where a download can be talked about, not in the child
    key = secrets.token_urlsafe(32)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "harvester.teachers.embedded", "--slots", str(slots),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, KEY_VARIABLE: key, "OMP_WAIT_POLICY": "PASSIVE"},
        start_new_session=True,  # Ctrl-C is ours to handle: the last answers are still wanted
    )  # fmt: skip
    errors = asyncio.create_task(_last_lines(process))
    try:
        yield Running(f"http://127.0.0.1:{await _port(process, errors)}/v1", key, errors)
    finally:
        if process.returncode is None:
            process.kill()  # it holds no state
        await process.wait()
        await errors


async def _port(process: asyncio.subprocess.Process, errors: "asyncio.Task[str]") -> int:
    if process.stdout is None:
        raise AssertionError("the child's stdout is a pipe")
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            line = await process.stdout.readline()
        return int(json.loads(line)["port"])
    except TimeoutError:
        raise TeacherUnusable(f"embedded teacher: not ready after {START_TIMEOUT_S:.0f} s") from None
    except (ValueError, TypeError, KeyError):
        if process.returncode is None:
            process.kill()  # it talks nonsense and lives: its last line would never come
        raise TeacherUnusable(f"embedded teacher: did not start: {await errors}") from None


async def _last_lines(process: asyncio.subprocess.Process) -> str:
    """Drain stderr, so that a talkative server never blocks, and keep its last line for the error message."""
    last = "no message"
    if process.stderr is None:
        return last
    async for line in process.stderr:
        last = line.decode("utf-8", "replace").strip() or last
    return last


def require_runtime() -> None:
    """Refuse early where the server's package is not installed.

    Raises:
        TeacherUnusable: with the command that installs it.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise TeacherUnusable(f"embedded teacher: xllamacpp is not installed; {how_to_install('embedded')}")


def start_server(*, key: str, port: int, slots: int) -> str:
    """Start the server in this process and return the URL it listens on.

    Raises:
        TeacherUnusable: the port is taken or the model does not load.
    """
    import xllamacpp  # noqa: PLC0415 - heavy, and only the server's process needs it

    params = xllamacpp.CommonParams()
    params.model.path = str(embedded_weights())
    params.model_alias = {MODEL_NAME}
    params.n_ctx, params.n_parallel = TOKENS_PER_SLOT * slots, slots
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], port, [key]
    params.cache_ram_mib = 0  # slots keep their own prefix; the further cache grows to gigabytes and gained nothing
    params.use_jinja = params.endpoint_metrics = params.endpoint_props = True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = _threads()
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        raise TeacherUnusable(f"embedded teacher: the server does not start on port {port}: {error}") from error
    _keep.append(server)
    return str(server.listening_address)


def serve_forever(*, port: int, slots: int, ready: Callable[[str, str], None]) -> None:
    """Serve in this process until interrupted; `ready` is given the base URL and the key once it answers.

    Raises:
        TeacherUnusable: not installed, no weights, or the port is taken.
    """
    require_runtime()
    key = secrets.token_urlsafe(32)
    ready(f"{start_server(key=key, port=port, slots=slots).rstrip('/')}/v1", key)
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()


_keep: list[object] = []
"""A server stops when it is collected: this holds it for the life of the process."""


def _threads() -> int:
    """Two OpenMP threads that spin on a busy machine can fall to a twentieth of their speed: leave half the cores."""
    return max(1, (os.cpu_count() or 2) // 2)


def _child() -> None:
    """Serve until the parent closes our stdin, which it does even when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.dup(1)
    os.dup2(2, 1)  # llama.cpp may print; stdout carries one line only
    address = start_server(key=os.environ.pop(KEY_VARIABLE), port=0, slots=int(sys.argv[2]))
    os.write(out, json.dumps({"port": int(address.rsplit(":", 1)[1].strip("/"))}).encode() + b"\n")
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    _child()
