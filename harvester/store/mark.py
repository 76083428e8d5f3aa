"""How far a run has handed out its requests, on disk before any of them is sent.

A file of its own beside the store: a write to it survives the process's death at any instruction, and costs a
microsecond, where a commit costs milliseconds. The next commit takes it into the store; only a power cut can lose what
was handed out since the last one.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from harvester.errors import StoreUnusable

_FORM = struct.Struct("<qq")  # run, highest request id that it handed out


class Mark:
    """The file, open; `run_id` and `request_id` are what it says."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        found = os.pread(descriptor, _FORM.size, 0)
        self.run_id, self.request_id = _FORM.unpack(found) if len(found) == _FORM.size else (0, 0)

    @classmethod
    @contextmanager
    def beside(cls, store: Path) -> Iterator[Self]:
        """The mark of a store, whose sole writer the caller is.

        Raises:
            StoreUnusable: the file cannot be made or read.
        """
        path = store.resolve()
        try:
            descriptor = os.open(path.with_name(path.name + ".mark"), os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreUnusable(f"{store}: not writable: {error.strerror}") from None
        try:
            yield cls(descriptor)
        finally:
            os.close(descriptor)

    def move(self, run_id: int, request_id: int) -> None:
        """Note that every open request up to this one may have been sent from now on.

        Raises:
            StoreUnusable: it cannot be written.
        """
        self.run_id, self.request_id = run_id, request_id
        try:
            os.pwrite(self._descriptor, _FORM.pack(run_id, request_id), 0)
        except OSError as error:
            raise StoreUnusable(f"the mark beside the store cannot be written: {error.strerror}") from None

    def of(self, run_id: int) -> int:
        """The highest request id that a run handed out, 0 where the mark is of another one."""
        return self.request_id if self.run_id == run_id else 0
