"""How many rows, ids and keys the store handles at once."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
PAGE = 1000


def chunks(ids: Iterable[T]) -> Iterator[list[T]]:
    """So many at once as a statement has room for."""
    left = iter(ids)
    while some := list(islice(left, PAGE)):
        yield some
