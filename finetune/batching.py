"""Which rows share an optimiser step, a process and a forward pass: pure functions of the rows' lengths."""

import random
from collections.abc import Sequence

WINDOW_STEPS = 8
"""Rows of this many steps are sorted by length together: little padding, and the order stays random enough."""


def epoch_steps(lengths: Sequence[int], rows_per_step: int, *, seed: int, epoch: int) -> list[list[int]]:
    """The row numbers of each optimiser step of one epoch; each row once, rows of like length together.

    A pure function of its arguments: resuming needs no stored order. How a step is split into forward passes does not
    enter, so 1 x 8 and 8 x 1 rows make the same steps, and so do packed and padded ones.
    """
    shuffle = random.Random(f"{seed}/{epoch}")  # noqa: S311 - an order, not a secret
    order = list(range(len(lengths)))
    shuffle.shuffle(order)
    steps = []
    window = rows_per_step * WINDOW_STEPS
    for start in range(0, len(order), window):
        near = sorted(order[start : start + window], key=lambda row: lengths[row])
        steps += [near[place : place + rows_per_step] for place in range(0, len(near), rows_per_step)]
    shuffle.shuffle(steps)
    return steps


def share(rows: Sequence[int], rank: int, processes: int) -> list[int]:
    """The rows of one process: every n-th of rows sorted by length, so that all have about as much to do."""
    return list(rows[rank::processes])


def padded_passes(rows: Sequence[int], batch_size: int) -> list[list[int]]:
    """Forward passes of so many rows each."""
    return [list(rows[start : start + batch_size]) for start in range(0, len(rows), batch_size)]


def packed_passes(rows: Sequence[int], lengths: Sequence[int], most_tokens: int) -> list[list[int]]:
    """Forward passes of rows laid end to end, first-fit decreasing (Johnson 1973): at most 11/9 of the fewest possible.

    Args:
        rows: row numbers.
        lengths: tokens of every row of the split.
        most_tokens: bound on one pass; no row is longer.
    """
    passes: list[list[int]] = []
    room: list[int] = []
    for row in sorted(rows, key=lambda row: -lengths[row]):
        place = next((place for place, left in enumerate(room) if left >= lengths[row]), None)
        if place is None:
            passes.append([])
            room.append(most_tokens)
            place = -1
        passes[place].append(row)
        room[place] -= lengths[row]
    return passes
