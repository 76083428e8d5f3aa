"""Intervals of values that have no bounds, as nats: Student's over prompts.

No prompts are made up as for scores (`intervals.py`): of nats nobody can say how far apart two prompts may be. What is
averaged over an answer's many tokens is another number for each prompt, so that none is sure because all agree; a share
of tokens is such a mean, too, though it has bounds.
"""

import math
import statistics
from collections.abc import Sequence

from finetune.intervals import FEWEST, Z_95, Gap, Interval, fieller, too_few, unclear


def interval(values: Sequence[float]) -> Interval | None:
    """95 % interval of the mean; None for fewer than FEWEST values."""
    return _around(values) if len(values) >= FEWEST else None


def paired_difference(one: Sequence[float], other: Sequence[float]) -> tuple[float, Interval | None]:
    """Mean of one - other over the same prompts in the same order, and its interval, as `interval` gives it."""
    apart = [mine - theirs for mine, theirs in zip(one, other, strict=True)]
    return statistics.fmean(apart), interval(apart)


def gap_closed(base: Sequence[float], teacher: Sequence[float], student: Sequence[float]) -> Gap:
    """The share of what the base loses against the teacher that the student does not lose, with Fieller's interval.

    (base - student) / (base - teacher). Refused for fewer than FEWEST prompts, and where the 95 % interval of base -
    teacher is not above 0.

    Args:
        base: loss of each prompt; less is better.
        teacher: the same prompts in the same order.
        student: the same prompts in the same order.
    """
    if len(base) < FEWEST:
        return Gap(None, None, too_few(len(base)))
    lead = [before - theirs for before, theirs in zip(base, teacher, strict=True)]
    gain = [before - mine for before, mine in zip(base, student, strict=True)]
    low, high = _around(lead)
    if low <= 0:
        return unclear("base - teacher", low, high)
    scale = student_t(len(lead) - 1) ** 2 / len(lead)
    gg, ll = scale * statistics.variance(gain), scale * statistics.variance(lead)
    gl = scale * statistics.covariance(gain, lead)
    found = fieller(statistics.fmean(gain), statistics.fmean(lead), gg, ll, gl)
    return Gap(sum(gain) / sum(lead), found, None)


def student_t(freedom: int) -> float:
    """97.5 % quantile of Student's distribution (Abramowitz & Stegun 1964, 26.7.5: within 1e-3 from 5 degrees on)."""
    z, n = Z_95, freedom
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * n**4)
    )


def _around(values: Sequence[float]) -> Interval:
    mean = statistics.fmean(values)
    half = student_t(len(values) - 1) * statistics.stdev(values, mean) / math.sqrt(len(values))
    return mean - half, mean + half
