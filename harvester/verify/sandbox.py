"""Runs Python that a model wrote, in bubblewrap: design 010's rules for what must not be trusted.

The sandbox holds /usr, the interpreter and a little space in /tmp and /dev/shm; no network, no environment, no other
process, no capability, and none of the system calls that would get around these (`seccomp`). Limits are set inside
(`harness`); how many files there are is limited by time alone. Root becomes nobody first: the kernel lets root pass
any limit on processes. Since nobody may not be able to reach the interpreter, a first sandbox, made by root, holds
nothing else.
"""

import contextlib
import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from harvester.errors import BadInput, StoppedEarly
from harvester.verify import seccomp

READY = b"READY\n"
START_S = 30.0
MOST_REPLY = 4_096
"""Bytes: a reason has a quarter of it."""
OUT_OF_CPU_TIME = 128 + signal.SIGXCPU
SPACE_BYTES = 16 << 20
NOBODY = "65534"
MEND = "install bubblewrap (Debian, Ubuntu, Fedora, Arch: the package `bubblewrap`) and run it on Linux"

_at_once = threading.BoundedSemaphore(os.cpu_count() or 1)
"""Limits are of wall-clock time: more at once than there are cores would make them a matter of luck."""


def run(code: str, tests: str, *, timeout_s: float, memory_mb: int) -> str | None:
    """Run an answer and its tests.

    Args:
        code: the answer's Python.
        tests: Python that raises where the answer is wrong.
        timeout_s: wall-clock seconds for both.
        memory_mb: address space of a process, in MiB.

    Returns:
        None where the tests ran to their end, else why not.

    Raises:
        BadInput: there is no sandbox here.
        StoppedEarly: the sandbox that was there does not start any more.
    """
    require()
    with _at_once:
        reason = _run(code, tests, timeout_s, memory_mb)
        if reason is None or not reason.startswith(_NOT_STARTED):
            return reason
        reason = _run(code, tests, timeout_s, memory_mb)  # a machine that is out of something for a moment
    if reason is not None and reason.startswith(_NOT_STARTED):
        raise StoppedEarly(f"verify.code: {reason}; mend that, then run the same command again")
    return reason


@cache
def require() -> None:
    """See once that the sandbox works.

    Raises:
        BadInput: it does not; says what to install.
    """
    if shutil.which("bwrap") is None:
        raise BadInput(f"model-written code runs in a sandbox only, and bwrap is not installed; {MEND}")
    if not seccomp.program():
        machines = " and ".join(seccomp.MACHINES)
        raise BadInput(f"model-written code runs in a sandbox only, whose system calls are known for {machines}")
    reason = _run("", "pass", START_S, 512)
    if reason is not None:
        raise BadInput(f"model-written code runs in a sandbox only, and it does not work here: {reason}; {MEND}")


_NOT_STARTED = "the sandbox does not start"


def _run(code: str, tests: str, timeout_s: float, memory_mb: int) -> str | None:
    token = secrets.token_hex(16).encode()
    job = {"code": code, "tests": tests, "timeout_s": timeout_s, "memory_mb": memory_mb, "ready": READY.decode()}
    sandbox, program = _command()
    with _sent(json.dumps(job).encode()) as stdin, _sent(seccomp.program()) as calls, _piped(token) as token_pipe:
        process = subprocess.Popen(
            [*sandbox, "--seccomp", str(calls), "--", *program, str(token_pipe)],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(token_pipe, calls),
            start_new_session=True,
            env={"PATH": os.environ.get("PATH", os.defpath)},
        )
    with process:
        try:
            said, in_time = _read(process, timeout_s)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return _verdict(said, token, timeout_s, process.returncode if in_time else None)


def _read(process: "subprocess.Popen[bytes]", timeout_s: float) -> tuple[bytes, bool]:
    """What it says until it ends, says too much, or takes too long; whether it ended in time."""
    pipe = process.stdout.fileno()  # type: ignore[union-attr] # it has a pipe
    said, until, ready = b"", time.monotonic() + START_S, False
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while len(said) < MOST_REPLY:
        if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
            return said, False
        some = os.read(pipe, MOST_REPLY)
        if not some:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
            return said, process.returncode is not None
        said += some
        if not ready and READY in said:
            ready, until = True, time.monotonic() + timeout_s
    return said, True


def _verdict(said: bytes, token: bytes, timeout_s: float, code: int | None) -> str | None:
    before, ready, after = said.partition(READY)
    text = after.decode("utf-8", "replace")
    if not ready:
        return f"{_NOT_STARTED}: {before.decode('utf-8', 'replace').strip() or 'it says nothing'}"
    if code in (None, OUT_OF_CPU_TIME):
        return f"takes more than {timeout_s:g} s"
    if code == 0 and after == token:
        return None
    if len(said) >= MOST_REPLY:
        return "writes where only the tests' result belongs"
    return text or f"ends before its tests do (exit status {code})"


@contextlib.contextmanager
def _sent(payload: bytes) -> Iterator[int]:
    """A file in memory that holds a payload: no pipe that somebody must keep filling."""
    descriptor = os.memfd_create("job")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(payload)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _piped(token: bytes) -> Iterator[int]:
    """A pipe's end from which the token can be read, once."""
    reader, writer = os.pipe()
    try:
        os.write(writer, token)
        os.close(writer)
        yield reader
    finally:
        os.close(reader)


@cache
def _command() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What makes the sandbox, and what runs in it."""
    base = Path(sys.base_prefix).resolve()
    python = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    view = [word for name in ("/usr", "/lib", "/lib64", "/bin", str(python), str(base / "lib")) for word in _view(name)]
    inner = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    inner += ["--dev", "/dev", "--size", str(SPACE_BYTES), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]  # noqa: S108
    inner += ["--size", str(SPACE_BYTES), "--tmpfs", "/tmp", *view, "--remount-ro", "/"]  # noqa: S108 - of the sandbox
    inner += ["--setenv", "HOME", "/tmp", "--setenv", "PATH", "/usr/bin", "--setenv", "LANG", "C.UTF-8"]  # noqa: S108
    inner += ["--hostname", "sandbox", "--chdir", "/tmp"]  # noqa: S108
    # Should memory run out, the system takes these first.
    outer = ["choom", "-n", "1000", "--"] if shutil.which("choom") else []
    if os.geteuid() == 0:
        outer += ["bwrap", "--die-with-parent", "--dev-bind", "/dev", "/dev", "--bind", "/proc", "/proc"]
        outer += ["--tmpfs", "/tmp", *view, "--"]  # noqa: S108 - of the sandbox
        outer += ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"]
    harness = Path(__file__).with_name("harness.py").read_text(encoding="utf-8")
    return (*outer, *inner), (str(python), "-I", "-S", "-c", harness)


def _view(name: str) -> list[str]:
    """A path of this machine, read-only in the sandbox; what lies in /usr is there already."""
    path = Path(name)
    if name.startswith("/usr/") or not path.exists():
        return []
    if path.is_symlink():
        return ["--symlink", str(path.readlink()), name]
    parents = [str(parent) for parent in reversed(path.parents)][1:]
    return [*(word for parent in parents for word in ("--perms", "0755", "--dir", parent)), "--ro-bind", name, name]
