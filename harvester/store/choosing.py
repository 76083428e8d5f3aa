"""Which dictionary would pack a store's texts best, judged by a sample of them."""

import random
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import zstandard

from harvester.store.dictionaries import COPIES, Column
from harvester.store.packing import DamagedError, Dictionary, Packing

SIZES = (4 << 10, 32 << 10, 256 << 10)
"""Of dictionaries to try, in bytes: the more there is in common, and the larger the store, the larger the best one."""
MOST_TEXTS, MOST_BYTES = 2_000, 16 << 20
"""Of what is stored so much is looked at; unpacked."""
LEAST_TEXTS = 50
HELD_OUT = 5  # every fifth text, to tell which dictionary is the best
WORTH = 0.98
"""A new dictionary is taken where it leaves less than this of the bytes: all is written anew for it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Some of a column's texts, from all over it."""

    rows: int  # how many the column has
    packed: Sequence[bytes]
    texts: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Gain:
    """What another packing would make of a column, as the held-out part of a sample says it."""

    now: int  # bytes
    then: int


def sample(connection: sqlite3.Connection, column: Column, packing: Packing) -> Sample:
    """Look at a column; what is damaged is not in the sample."""
    table, key = column.table, column.key
    rows = int(connection.execute(column.count).fetchone()[0])
    last = int(connection.execute(f"SELECT coalesce(max({key}), 0) FROM {table}").fetchone()[0])  # noqa: S608 - names of ours
    next_one = f"SELECT {key}, {column.name} FROM {table} WHERE {key} >= ? ORDER BY {key} LIMIT 1"  # noqa: S608
    # Not every n-th: what a recipe asks may repeat itself every n rows.
    places = random.Random(0).sample(range(1, last + 1), min(last, MOST_TEXTS))  # noqa: S311
    found: dict[int, tuple[bytes, bytes]] = {}
    left = MOST_BYTES
    for place in places:
        number, blob = connection.execute(next_one, [place]).fetchone()
        try:
            text = packing.restored(blob)
        except (DamagedError, TypeError):
            continue
        if number not in found:
            found[number] = blob, text
            left -= len(text)
        if left <= 0:
            break
    return Sample(rows, [blob for blob, _ in found.values()], [text for _, text in found.values()])


def better(found: Sample, holds: str, packing: Packing) -> tuple[Packing, Gain]:
    """The packing that leaves the fewest bytes of a column, its own dictionaries included.

    That is the one which the store has, with another dictionary for what the column holds where one is worth it.
    """
    held_out = found.texts[::HELD_OUT]
    scale = found.rows / max(1, len(held_out))
    now = sum(map(len, found.packed[::HELD_OUT])) * scale
    best, least = packing, min(now, _bytes(packing, held_out, holds) * scale)
    for size in SIZES:
        if new := trained(found.texts, holds, size):
            other = Packing([*packing.dictionaries, new])
            cost = _bytes(other, held_out, holds) * scale + COPIES * len(new.data)
            if cost < least * (WORTH if best is packing else 1):
                best, least = other, cost
    return best, Gain(round(now), round(least))


def _bytes(packing: Packing, texts: Sequence[bytes], holds: str) -> int:
    return sum(len(packing.packed(text, holds)) for text in texts)


def trained(texts: Sequence[bytes], holds: str, size: int) -> Dictionary | None:
    """A dictionary of what texts have in common but for the held-out ones; None where they are too few or too short."""
    learnt: list[bytes | bytearray | memoryview] = [text for number, text in enumerate(texts) if number % HELD_OUT]
    if len(learnt) < LEAST_TEXTS or sum(map(len, learnt)) < size:
        return None
    try:
        found = zstandard.train_dictionary(size, learnt)
    except zstandard.ZstdError:  # nothing in common
        return None
    return Dictionary(holds, found.as_bytes(), found.dict_id())
