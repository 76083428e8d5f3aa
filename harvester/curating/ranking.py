"""Which rows stay: the better ones first, of equals those that come first in the dataset."""

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from harvester.curating.base import Example

UNSCORED = float("-inf")
"""What no judge has seen is worth less than what any judge scored."""


def worth(example: Example) -> float:
    """What a row is ranked by."""
    return UNSCORED if example.score is None else example.score


def best_first(worths: Sequence[float]) -> list[int]:
    """The places of rows in the dataset, the best row's first."""
    places: list[int] = np.argsort(-np.asarray(worths, dtype=np.float64), kind="stable").tolist()
    return places


def row_ids(examples: Iterable[Example], ids: Collection[int]) -> dict[int, str]:
    """`Example.id` → `row_id` of some rows; goes through the rows once, and not at all for none."""
    return {example.id: example.row_id for example in examples if example.id in ids} if ids else {}
