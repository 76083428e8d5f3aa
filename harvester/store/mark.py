"""Which requests a run has handed out and not settled yet, on disk before any of them is sent.

A file of its own beside the store: a write to it survives the process's death at any instruction, and costs a
microsecond, where a commit costs milliseconds. The next commit takes it into the store; only a power cut can lose what
was handed out since the last one.
"""

import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from harvester.errors import StoreUnusable

FORM = b"harvest2"
_NUMBER = struct.Struct("<q")
_BEFORE_0003 = struct.Struct("<qq")  # run, highest request id that it handed out
_SLOTS_AT = len(FORM) + _NUMBER.size


class Mark:
    """The file, open: its form, the run, and a slot for every request that is out."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.run_id = self.highest = 0  # `highest` where an older Harvester wrote it
        self._slots: dict[int, int] = {}  # request → its slot
        self._free: list[int] = []
        self._made = 0  # slots; not the number of requests, as another thread settles them meanwhile
        self._read(os.pread(descriptor, os.fstat(descriptor).st_size, 0))

    def _read(self, found: bytes) -> None:
        if not found.startswith(FORM):
            if len(found) == _BEFORE_0003.size:
                self.run_id, self.highest = _BEFORE_0003.unpack(found)
            return
        numbers = [number for (number,) in _NUMBER.iter_unpack(found[len(FORM) : len(found) // 8 * 8])]
        self.run_id = numbers[0] if numbers else 0
        self._slots = {request_id: slot for slot, request_id in enumerate(numbers[1:]) if request_id}

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

    def begin(self, run_id: int) -> None:
        """Forget what other runs handed out: from now on the mark is this run's.

        Raises:
            StoreUnusable: it cannot be written.
        """
        self.run_id, self.highest = run_id, 0
        self._slots, self._free, self._made = {}, [], 0
        try:
            os.ftruncate(self._descriptor, 0)
        except OSError as error:
            raise _unwritable(error) from None
        self._write(FORM + _NUMBER.pack(run_id), 0)

    def hand_out(self, request_id: int) -> None:
        """Note that a request may have been sent from now on.

        Raises:
            StoreUnusable: it cannot be written.
        """
        if self._free:
            slot = self._free.pop()
        else:
            slot, self._made = self._made, self._made + 1
        self._slots[request_id] = slot
        self._write(_NUMBER.pack(request_id), _SLOTS_AT + slot * _NUMBER.size)

    def settled(self, request_ids: Iterable[int]) -> None:
        """Give the slots of requests whose end is on disk to others. What they held stays until then: it is known."""
        for request_id in request_ids:
            if (slot := self._slots.pop(request_id, None)) is not None:
                self._free.append(slot)

    @property
    def outstanding(self) -> list[int]:
        """The requests that this run handed out and that are not settled."""
        return list(self._slots)  # at once: another thread hands out meanwhile

    def is_out(self, request_id: int) -> bool:
        """Whether this run handed a request out, and it is not settled."""
        return request_id in self._slots

    def of(self, run_id: int) -> tuple[list[int], int]:
        """(requests that a run handed out, the highest one where only that is known); nothing of other runs."""
        return (self.outstanding, self.highest) if self.run_id == run_id else ([], 0)

    def _write(self, data: bytes, place: int) -> None:
        try:
            os.pwrite(self._descriptor, data, place)
        except OSError as error:
            raise _unwritable(error) from None


def _unwritable(error: OSError) -> StoreUnusable:
    return StoreUnusable(f"the mark beside the store cannot be written: {error.strerror}")
