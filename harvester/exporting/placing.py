"""A dataset's folder takes its place in one step: at every instant there is the old dataset or the new one, whole."""

import ctypes
import errno
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NEW, OLD = "new", "old"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of Linux's <fcntl.h> and <linux/fs.h>
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM)


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A new folder to write into; it becomes `out` at the end of the context, unless that raises.

    It is made beside `out`, on the same file system. What killed exports left there is swept first.

    Raises:
        OSError: it cannot be written; `out` is as it was.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with _alone_in(out.parent):  # nobody sweeps a folder between its making and its locking
        _sweep(out)
        scratch = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
        lock = os.open(scratch, os.O_RDONLY)
        with suppress(OSError):  # a file system without locks: nobody sweeps there
            fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        (scratch / NEW).mkdir()
        yield scratch / NEW
        _sync(scratch / NEW)
        _put(scratch / NEW, out, aside=scratch / OLD)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(lock)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sweep(out: Path) -> None:
    """Take away what killed exports left; a living one holds the lock on its folder."""
    ours = re.compile(rf"\.{re.escape(out.name)}-[a-z0-9_]{{8}}")
    for folder in out.parent.iterdir():
        if not ours.fullmatch(folder.name) or not folder.is_dir() or folder.is_symlink():
            continue
        if not {path.name for path in folder.iterdir()} <= {NEW, OLD}:
            continue  # somebody else's
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        else:
            if (folder / OLD).exists() and not out.exists():  # killed between `_put`'s two steps
                (folder / OLD).rename(out)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _sync(folder: Path) -> None:
    """Bring everything to the disk: a name must not get there before what it names."""
    for path in (*folder.rglob("*"), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _put(new: Path, out: Path, *, aside: Path) -> None:
    if not out.exists():
        new.rename(out)
    elif not _exchanged(new, out):
        out.rename(aside)
        try:
            new.rename(out)
        except OSError:
            aside.rename(out)
            raise


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two folders in one step, where the system can (Linux; not on every file system)."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    if (error := ctypes.get_errno()) in _NO_EXCHANGE:
        return False
    raise OSError(error, os.strerror(error), str(other))
