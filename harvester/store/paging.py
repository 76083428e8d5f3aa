"""How many rows and ids the store handles at once."""

from collections.abc import Iterable, Iterator
from itertools import islice

PAGE = 1000


def chunks(ids: Iterable[int]) -> Iterator[list[int]]:
    """So many at once as a statement has room for."""
    left = iter(ids)
    while some := list(islice(left, PAGE)):
        yield some
