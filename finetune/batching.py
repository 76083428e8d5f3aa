"""Which rows share an optimiser step, a process and a forward pass: pure functions of the rows' lengths."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

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


@dataclass
class Order:
    """Which rows each optimiser step of a run learns from.

    Args:
        lengths: tokens of every row.
        rows_per_step: how many rows a step has; the last one of an epoch may have fewer.
        seed: of the shuffling.
    """

    lengths: Sequence[int]
    rows_per_step: int
    seed: int
    _laid_out: tuple[int, list[list[int]]] = field(default=(-1, []), init=False)  # epoch and its steps

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps that see each row once."""
        return -(-len(self.lengths) // self.rows_per_step)

    def rows(self, step: int) -> list[int]:
        """The rows of a 0-based step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._laid_out[0] != epoch:
            steps = epoch_steps(self.lengths, self.rows_per_step, seed=self.seed, epoch=epoch)
            self._laid_out = (epoch, steps)
        return self._laid_out[1][place]

    def seen(self, steps: int) -> Iterator[int]:
        """The rows of the first steps, each as often as it was learnt from."""
        for step in range(steps):
            yield from self.rows(step)


def passes_of(
    lengths: Sequence[int], *, rank: int, processes: int, batch_size: int, most_tokens: int | None, equally_many: bool
) -> list[list[int]]:
    """One process's forward passes over some rows, each with the numbers of its rows.

    Args:
        lengths: tokens of every row, sorted.
        rank: the process.
        processes: how many there are.
        batch_size: rows of a padded pass.
        most_tokens: bound on a packed pass; None for padded ones.
        equally_many: whether a process with less to do gets passes without rows.
    """

    def split(part: Sequence[int]) -> list[list[int]]:
        return padded_passes(part, batch_size) if most_tokens is None else packed_passes(part, lengths, most_tokens)

    of_each = [split(share(range(len(lengths)), rank, processes)) for rank in range(processes)]
    mine = of_each[rank]
    return mine + [[]] * (max(map(len, of_each)) - len(mine)) if equally_many else mine


def share(rows: Sequence[int], rank: int, processes: int) -> list[int]:
    """The rows of one process: every n-th of rows sorted by length, so that all have about as much to do."""
    return list(rows[rank::processes])


def padded_passes(rows: Sequence[int], batch_size: int) -> list[list[int]]:
    """Forward passes of so many rows each."""
    return [list(rows[start : start + batch_size]) for start in range(0, len(rows), batch_size)]


def packed_passes(rows: Sequence[int], lengths: Sequence[int], most_tokens: int) -> list[list[int]]:
    """Forward passes of rows laid end to end, first-fit decreasing: each row into the first pass that has room for it.

    At most 11/9 of the fewest possible and 6/9 of a pass more (Dosa 2007, doi 10.1007/978-3-540-74450-4_1), in
    n log n: a tree over the passes knows the most room below each of its nodes.

    Args:
        rows: row numbers.
        lengths: tokens of every row of the split.
        most_tokens: bound on one pass; no row is longer.
    """
    leaves = 1 << max(0, len(rows) - 1).bit_length()
    room = [most_tokens] * (2 * leaves)  # node n has the children 2n and 2n + 1; passes that are not begun are empty
    passes: list[list[int]] = []
    for row in sorted(rows, key=lambda row: -lengths[row]):
        node = 1
        while node < leaves:
            node *= 2
            if room[node] < lengths[row]:
                node += 1
        if node - leaves == len(passes):
            passes.append([])
        passes[node - leaves].append(row)
        room[node] -= lengths[row]
        while node > 1:
            node //= 2
            room[node] = max(room[2 * node], room[2 * node + 1])
    return passes
