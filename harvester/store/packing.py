"""How requests and replies are compressed: by zlib, or by zstd with a dictionary that the store itself keeps.

What is packed says how: a zlib stream never begins with a zstd frame's four bytes, and a frame names its dictionary.
So both stand side by side in one column. Dictionaries come by `harvester store compact`; until then all is zlib's.
"""

import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import zstandard

from harvester.errors import StoreUnusable

LEAST_WBITS = 9  # of zlib: a window of 512 bytes
FRAME = zstandard.FRAME_HEADER
"""How every zstd frame begins."""
FRAME_HEADER_BYTES = 18  # at most
LEVEL = 3  # of zstd
REQUESTS, REPLIES = "requests", "replies"
"""What a dictionary is for."""


@dataclass(frozen=True, slots=True)
class Dictionary:
    """What the texts of a store have in common."""

    holds: str  # `REQUESTS` or `REPLIES`
    data: bytes
    number: int  # by which frames name it; zstd makes it of the data


class DamagedError(ValueError):
    """What is packed cannot be unpacked."""


class _Contexts(threading.local):
    """zstd's, by dictionary; one may be used by one thread at a time."""

    def __init__(self) -> None:
        self.compressors: dict[int, zstandard.ZstdCompressor] = {}
        self.decompressors: dict[int, zstandard.ZstdDecompressor] = {}


class Packing:
    """Packs and unpacks what a store holds; may be used by several threads, and sent to other processes."""

    def __init__(self, dictionaries: Sequence[Dictionary] = ()) -> None:
        """Of several dictionaries for the same the last one packs."""
        self.dictionaries = tuple(dictionaries)
        self._newest = {one.holds: one for one in dictionaries}
        self._by_number = {one.number: one for one in dictionaries}
        self._contexts = _Contexts()

    def __reduce__(self) -> tuple[type["Packing"], tuple[tuple[Dictionary, ...]]]:
        """By its dictionaries."""
        return Packing, (self.dictionaries,)

    def newest(self, holds: str) -> Dictionary | None:
        """The dictionary that packs; None: zlib does."""
        return self._newest.get(holds)

    def packed(self, data: bytes, holds: str) -> bytes:
        """Compressed by the newest dictionary for what it `holds`, or by zlib where there is none."""
        dictionary = self._newest.get(holds)
        if dictionary is None:
            return deflated(data)
        compressors = self._contexts.compressors
        if dictionary.number not in compressors:
            content = zstandard.ZstdCompressionDict(dictionary.data)
            content.precompute_compress(level=LEVEL)
            compressors[dictionary.number] = zstandard.ZstdCompressor(level=LEVEL, dict_data=content)
        return compressors[dictionary.number].compress(data)

    def unpacked(self, blob: bytes, what: str) -> bytes:
        """The bytes as they were before the store compressed them.

        Raises:
            StoreUnusable: they are damaged; `what` they are is in the message.
        """
        try:
            return self.restored(blob)
        except DamagedError as error:
            raise StoreUnusable(f"{what} is damaged ({error}); `harvester verify` lists all of it") from error

    def restored(self, blob: bytes) -> bytes:
        """As `unpacked`.

        Raises:
            DamagedError: they are damaged.
        """
        try:
            if blob[:4] != FRAME:
                return zlib.decompress(blob, bufsize=4 * len(blob))  # the default, 16 kB, costs a tenth of the time
            return self._decompressor(number_of(blob)).decompress(blob)
        except (zlib.error, zstandard.ZstdError, TypeError, MemoryError) as error:
            # A type error where it is a text or a number; and a damaged frame may ask for any amount of memory.
            raise DamagedError(str(error)) from error

    def _decompressor(self, number: int) -> zstandard.ZstdDecompressor:
        decompressors = self._contexts.decompressors
        if number not in decompressors:
            if number not in self._by_number:
                raise DamagedError(f"its dictionary {number} is missing or damaged itself")
            content = zstandard.ZstdCompressionDict(self._by_number[number].data)
            decompressors[number] = zstandard.ZstdDecompressor(dict_data=content)
        return decompressors[number]


def deflated(data: bytes) -> bytes:
    """By zlib, with a window no larger than the data: half of the time for a short reply, and no byte more."""
    return zlib.compress(data, 1, min(zlib.MAX_WBITS, max(LEAST_WBITS, len(data).bit_length())))


def number_of(blob: bytes) -> int:
    """The number of the dictionary that a packed text needs; 0 where it needs none.

    Raises:
        DamagedError: it is no frame of zstd's, though it begins like one.
    """
    if blob[:4] != FRAME:
        return 0
    try:
        return zstandard.get_frame_parameters(blob[:FRAME_HEADER_BYTES]).dict_id
    except zstandard.ZstdError as error:
        raise DamagedError(str(error)) from error
