"""A batch's output → what becomes of each of its requests, told by their ids alone, in whatever order they come."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from harvester.batching.lines import Failed, read_line
from harvester.retry import Reply
from harvester.store.batches import Stray
from harvester.teachers.openai_compat import MAX_BODY_BYTES

MOST_SHOWN = 200  # characters of an id that is not ours


@dataclass(frozen=True, slots=True)
class Settled:
    """What a line says of one of the batch's requests."""

    key: str
    said: Reply | Failed


class Reconciliation:
    """Takes line after line; the first one of a request counts."""

    def __init__(self, wanted: Iterable[str]) -> None:
        """`wanted` are the keys of the batch's requests."""
        self._wanted = dict.fromkeys(wanted)  # a set that keeps their order
        self._seen: set[str] = set()

    def take(self, raw: bytes) -> Settled | Stray:
        """What a line is."""
        found = read_line(raw)
        if found is None:
            return Stray(None, "not a line of an output file", raw)
        key, said = found
        shown = key[:MOST_SHOWN].encode("utf-8", "replace").decode()
        if key not in self._wanted:
            return Stray(shown, "unknown custom_id", raw)
        if key in self._seen:
            return Stray(shown, "duplicate custom_id", raw)
        self._seen.add(key)
        return Settled(key, said)

    @property
    def missing(self) -> list[str]:
        """Keys that no line spoke of so far."""
        return [key for key in self._wanted if key not in self._seen]


def lines_of(file: IO[bytes]) -> Iterator[bytes]:
    """A file's lines that hold anything; of one that is longer than any answer, its beginning."""
    file.seek(0)
    while raw := file.readline(MAX_BODY_BYTES):
        rest = raw
        while not rest.endswith(b"\n") and (rest := file.readline(MAX_BODY_BYTES)):
            pass
        if raw.strip():
            yield raw.rstrip(b"\r\n")
