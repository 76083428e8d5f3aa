"""One writer per store: a lock on an open file, which dies with the process that holds it."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harvester.errors import StoreUnusable

LOOK_S = 0.05


@contextmanager
def sole_writer(store: Path) -> Iterator[None]:
    """Be the store's only writer for the length of the context.

    The lock is taken on a file beside the store: SQLite drops its own locks when the database file is closed twice in
    one process. The file stays; only the lock on it means anything.

    Raises:
        StoreUnusable: another process is the writer (it is named), or the folder is not writable.
    """
    store = store.resolve()  # two names of one file are one store
    try:
        descriptor = os.open(_path(store), os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreUnusable(f"{store}: not writable: {error.strerror}") from None
    try:
        try:
            _take(descriptor)
        except BlockingIOError:
            raise StoreUnusable(f"{store}: in use by {_holder(descriptor)}; wait for it or stop it") from None
        except OSError as error:
            raise StoreUnusable(f"{store}: no locks on this file system ({error.strerror}); use a local disk") from None
        try:
            _sign(descriptor)
        except OSError as error:
            raise StoreUnusable(f"{store}: not writable: {error.strerror}") from None
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> None:
    """Take the lock, or raise BlockingIOError. One try more: `holder` has it for the time of its look."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(LOOK_S)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def holder(store: Path) -> dict[str, Any] | None:
    """Who writes to the store now: `pid`, `host` and `since`, as far as they are known; None if nobody does."""
    try:
        descriptor = os.open(_path(store.resolve()), os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _signature(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)  # and with it the lock
    return None


def _path(store: Path) -> Path:
    return store.with_name(store.name + ".lock")


def _sign(descriptor: int) -> None:
    me = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(me).encode(), 0)


def _signature(descriptor: int) -> dict[str, Any]:
    try:
        who = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:  # it is being signed right now
        return {}
    return who if isinstance(who, dict) else {}


def _holder(descriptor: int) -> str:
    try:
        return "process {pid} on {host} since {since}".format_map(_signature(descriptor))
    except KeyError:
        return "another process"
