"""One writer per store: a lock on an open file, which dies with the process that holds it."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from harvester.errors import StoreUnusable


@contextmanager
def sole_writer(store: Path) -> Iterator[None]:
    """Be the store's only writer for the length of the context.

    The lock is taken on a file beside the store: SQLite drops its own locks when the database file is closed twice in
    one process. The file stays; only the lock on it means anything.

    Raises:
        StoreUnusable: another process is the writer (it is named), or the folder is not writable.
    """
    store = store.resolve()  # two names of one file are one store
    path = store.with_name(store.name + ".lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreUnusable(f"{store}: not writable: {error.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
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


def _sign(descriptor: int) -> None:
    me = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(me).encode(), 0)


def _holder(descriptor: int) -> str:
    try:
        who = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {who['pid']} on {who['host']} since {who['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
