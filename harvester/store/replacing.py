"""Putting a new file in the place of a store: whoever opens the store finds one of the two, whole.

The store's log belongs to its file, but is found by its name. So nobody may have the old file open when the new one
takes its name, or it would read the new one's log as its own: SQLite's exclusive lock says so, and it lets the log be
taken into the old file and removed first.
"""

import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harvester.errors import StoreUnusable
from harvester.store.engine import plainly

PATIENCE_S = 60
"""How long readers may go on once the new file is ready."""
LOOK_S = 0.05
SIBLINGS = ("", "-wal", "-shm", "-journal")


@contextmanager
def beside(store: Path) -> Iterator[Path]:
    """A new, empty file in the store's folder; what is left there in the end is removed, of earlier times too.

    Raises:
        StoreUnusable: it cannot be made, or not as the store's owner.
    """
    new = leftover(store)
    try:
        remove(new)
        # For nobody's eyes but those that may read the store, from the first byte on.
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise StoreUnusable(f"{new}: cannot be made anew ({error.strerror}); remove it and run again") from None
    try:
        _make_alike(new, store)
        yield new
    finally:
        remove(new)


def leftover(store: Path) -> Path:
    """Where a new file is made, and lies still if that was killed."""
    return store.with_name(store.name + ".compacting")


def remove(new: Path) -> None:
    """Remove a database with its logs."""
    for suffix in SIBLINGS:
        new.with_name(new.name + suffix).unlink(missing_ok=True)


def require_room(store: Path, needed: int) -> None:
    """Is there room for the new file?

    Raises:
        StoreUnusable: less than `needed` bytes are free.
    """
    free = shutil.disk_usage(store.parent).free
    if free < needed:
        mb, has = f"{needed / 1e6:,.0f}", f"{free / 1e6:,.0f}"
        raise StoreUnusable(
            f"{store}: compacting needs {mb} MB of free room in its folder, which has {has}; free some and run again, "
            "nothing that it holds was changed"
        )


def require_unread(store: Path) -> None:
    """Does nobody read the store? Asked before the long work, as it cannot end while somebody does.

    Raises:
        StoreUnusable: somebody does.
    """
    try:
        with plainly(store, "rw") as connection:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
    except StoreUnusable as error:
        if "locked" in str(error):
            raise _read_by_others(store) from None
        raise


def put(new: Path, store: Path, old: sqlite3.Connection, version: int) -> None:
    """Put the new file in the store's place, on disk, with its owner and its permissions.

    Args:
        new: a database that nobody has open.
        store: without links; the caller is its sole writer.
        old: the only connection to it in this process.
        version: its `data_version` when it was copied.

    Raises:
        StoreUnusable: somebody goes on reading, or wrote to it meanwhile; or the file may not be replaced.
    """
    try:
        _make_alike(new, store)  # again: they may have been changed meanwhile
        _sync(new)
        _take_for_oneself(old, store, version)
        new.replace(store)
    except OSError as error:
        raise StoreUnusable(f"{store}: cannot be replaced ({error.strerror}); nothing was changed") from None
    with suppress(OSError):  # some file systems cannot sync a folder; after a power cut it is the old store or the new
        _sync(store.parent)


def version_of(connection: sqlite3.Connection) -> int:
    """Changes whenever another connection has written."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def _make_alike(new: Path, store: Path) -> None:
    wanted = store.stat()
    try:
        os.chown(new, wanted.st_uid, wanted.st_gid)
    except OSError:
        raise StoreUnusable(f"{store}: belongs to another user or group; compact it as its owner") from None
    shutil.copymode(store, new)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if (
            whole := getattr(fcntl, "F_FULLFSYNC", None)
        ) is not None:  # macOS: fsync alone leaves it in the drive's cache
            with suppress(OSError):  # not every file system has it
                fcntl.fcntl(descriptor, whole)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take_for_oneself(old: sqlite3.Connection, store: Path, version: int) -> None:
    """Wait until nobody reads, take the log into the file and remove it; from then on nobody can read."""
    until = time.monotonic() + PATIENCE_S
    old.execute("PRAGMA locking_mode=EXCLUSIVE")
    while True:
        if version_of(old) != version:  # what is asked later does not tell any more
            raise StoreUnusable(f"{store}: another program wrote to it meanwhile; nothing was changed, run again")
        try:
            old.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            if time.monotonic() > until:
                raise _read_by_others(store) from None
            time.sleep(LOOK_S)  # SQLite itself does not wait here
        else:
            return


def _read_by_others(store: Path) -> StoreUnusable:
    return StoreUnusable(f"{store}: is being read by another program; let it end and run again, nothing was changed")
