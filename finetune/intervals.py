"""How sure a score is: intervals over prompts, and the share of the teacher's lead that the student recovered."""

# ruff: noqa: N803, N806 - shape suffixes

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Z_95 = 1.959963984540054
"""97.5 % quantile of the standard normal distribution."""
RESAMPLES = 10_000
SEED = 0
FEWEST = 6
"""Prompts below which not even a lead on every one is clear of chance (sign test: 2 · 0.5⁵ > 5 %)."""

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Gap:
    """(student - base) / (teacher - base), or why it is not given."""

    value: float | None
    interval: Interval | None
    refusal: str | None


def interval(scores: Sequence[float]) -> Interval:
    """95 % interval of the mean of scores in [0, 1]: Wilson's where all are 0 or 1, else a bootstrap over prompts."""
    if all(score in (0.0, 1.0) for score in scores):
        return wilson(int(sum(scores)), len(scores))
    return _percentiles(_resampled_means(torch.tensor([list(scores)], dtype=torch.float64))[0])


def wilson(passed: int, n: int) -> Interval:
    """Wilson's 95 % score interval of a proportion (Wilson 1927, JASA 22:209-212).

    Args:
        passed: successes.
        n: trials, at least 1.
    """
    share, z2 = passed / n, Z_95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # At the ends the formula gives 0 and 1 but for rounding.
    return (centre - half if passed else 0.0), (centre + half if passed < n else 1.0)


def gap_recovered(base: Sequence[float], teacher: Sequence[float], student: Sequence[float]) -> Gap:
    """The share of the teacher's lead over the base that the student has, with a paired bootstrap over prompts.

    Refused when the 95 % interval of teacher - base is not above 0: the ratio of two noises means nothing. And for a
    handful of prompts, of which a bootstrap would draw the same ones again and call them sure.

    Args:
        base: score of each prompt.
        teacher: the same prompts in the same order.
        student: the same prompts in the same order.
    """
    if len(base) < FEWEST:
        return Gap(None, None, f"{len(base)} prompts are too few to tell a lead from chance; {FEWEST} are the fewest")
    means_AR = _resampled_means(torch.tensor([list(base), list(teacher), list(student)], dtype=torch.float64))
    lead_R, gain_R = means_AR[1] - means_AR[0], means_AR[2] - means_AR[0]
    low, high = _percentiles(lead_R)
    if low <= 0:
        what = "includes 0" if high >= 0 else "lies below 0"
        return Gap(None, None, f"the 95 % interval of teacher - base [{low:.3f}, {high:.3f}] {what}")
    n = len(base)
    value = (sum(student) - sum(base)) / n / ((sum(teacher) - sum(base)) / n)
    # A resample without a lead (at most 2.5 % of them) has no ratio: it counts as infinitely far out.
    ratio_R = torch.where(lead_R > 0, gain_R / lead_R, torch.copysign(torch.full_like(gain_R, math.inf), gain_R))
    return Gap(value, _percentiles(ratio_R), None)


def paired_difference(one: Sequence[float], other: Sequence[float]) -> tuple[float, Interval]:
    """Mean of one - other with a paired bootstrap over prompts.

    Args:
        one: score of each prompt.
        other: the same prompts in the same order.

    Returns:
        The difference and its 95 % interval.
    """
    means_AR = _resampled_means(torch.tensor([list(one), list(other)], dtype=torch.float64))
    return (sum(one) - sum(other)) / len(one), _percentiles(means_AR[0] - means_AR[1])


def _resampled_means(scores_AN: Tensor) -> Tensor:
    """Means of each arm over prompts drawn with replacement, means_AR; every arm draws the same prompts."""
    n = scores_AN.shape[1]
    dice = torch.Generator().manual_seed(SEED)
    return torch.stack(
        [scores_AN[:, torch.randint(n, (n,), generator=dice)].mean(dim=1) for _ in range(RESAMPLES)], dim=1
    )


def _percentiles(values_R: Tensor) -> Interval:
    # Order statistics, not interpolation: an infinite neighbour would make the mean of two a NaN.
    ordered = values_R.sort().values
    return float(ordered[int(0.025 * len(ordered))]), float(ordered[math.ceil(0.975 * len(ordered)) - 1])
