"""How sure a score is: intervals over prompts, and the share of the teacher's lead that the student recovered.

One rule for all: before anything is computed, made-up prompts join the real ones, half of them for and half against
what is measured. What so few prompts cannot rule out is then in the interval, and one of no width cannot come about,
not even where all prompts agree (a bootstrap draws the same again and calls it sure).

- a score: z²/2 prompts answered right and z²/2 answered wrong. Of rights and wrongs that is Wilson's interval (Wilson
  1927, JASA 22:209-212); where prompts count in fractions, Agresti & Coull's (1998, The American Statistician
  52:119-126), whose centre is the same.
- a difference, paired by prompt: one prompt that one alone gets right, and one that the other alone does (Bonett &
  Price 2012, Journal of Educational and Behavioral Statistics 37:479-488).
- the gap, a ratio of two differences: all ratios r at which gain - r · lead is not clear of 0 by that same rule
  (Fieller 1954, JRSS B 16:175-185).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z_95 = 1.959963984540054
"""97.5 % quantile of the standard normal distribution."""
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
    """95 % interval of the mean of scores in [0, 1], of which there is at least one: Wilson's, or Agresti & Coull's."""
    if all(score in (0.0, 1.0) for score in scores):
        return wilson(int(sum(scores)), len(scores))
    n, right = len(scores) + Z_95**2, sum(scores) + Z_95**2 / 2
    squares = sum(score * score for score in scores) + Z_95**2 / 2
    half = Z_95 * math.sqrt((squares / n - (right / n) ** 2) / n)
    return max(0.0, right / n - half), min(1.0, right / n + half)


def wilson(passed: int, n: int) -> Interval:
    """Wilson's 95 % score interval of a proportion.

    Args:
        passed: successes.
        n: trials, at least 1.
    """
    share, z2 = passed / n, Z_95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # At the ends the formula gives 0 and 1 but for rounding.
    return (centre - half if passed else 0.0), (centre + half if passed < n else 1.0)


def paired_difference(one: Sequence[float], other: Sequence[float]) -> tuple[float, Interval | None]:
    """Mean of one - other.

    Args:
        one: score of each prompt.
        other: the same prompts in the same order.

    Returns:
        The difference and its 95 % interval; None where there are fewer than FEWEST prompts.
    """
    apart = [mine - theirs for mine, theirs in zip(one, other, strict=True)]
    return sum(apart) / len(apart), None if len(apart) < FEWEST else _around(apart)


def gap_recovered(base: Sequence[float], teacher: Sequence[float], student: Sequence[float]) -> Gap:
    """The share of the teacher's lead over the base that the student has.

    Refused when the 95 % interval of teacher - base is not above 0 (the ratio of two noises means nothing), and for
    fewer than FEWEST prompts. Wherever it is given, its interval is finite: Fieller's is, just where the lead is clear.

    Args:
        base: score of each prompt.
        teacher: the same prompts in the same order.
        student: the same prompts in the same order.
    """
    if len(base) < FEWEST:
        return Gap(None, None, too_few(len(base)))
    lead = [theirs - before for theirs, before in zip(teacher, base, strict=True)]
    gain = [mine - before for mine, before in zip(student, base, strict=True)]
    low, high = _around(lead)
    if low <= 0:
        return unclear("teacher - base", low, high)
    return Gap(sum(gain) / sum(lead), _ratio(gain, lead), None)


def unclear(lead: str, low: float, high: float) -> Gap:
    """No share of a lead whose 95 % interval is not above 0."""
    what = "includes 0" if high >= 0 else "lies below 0"
    return Gap(None, None, f"the 95 % interval of {lead} [{low:.3f}, {high:.3f}] {what}")


def too_few(prompts: int) -> str:
    """Why there is no interval of a difference."""
    return f"{prompts} prompts are too few to tell a lead from chance; {FEWEST} are the fewest"


def _around(apart: Sequence[float]) -> Interval:
    """95 % interval of the mean of differences in [-1, 1], with one of 1 and one of -1 made up."""
    n, total = len(apart) + 2, sum(apart)
    half = Z_95 * math.sqrt(((sum(x * x for x in apart) + 2) / n - (total / n) ** 2) / n)
    return max(-1.0, total / n - half), min(1.0, total / n + half)


def _ratio(gain: Sequence[float], lead: Sequence[float]) -> Interval:
    """95 % interval of mean gain / mean lead, the lead's own being above 0.

    The ends are the roots r of (g - r·l)² = z² Var(g - r·l). The made-up prompts add 2 to the squares of the gain and
    of the lead, and 1 to their product: so they add 2 at r = 1 too, where gain - lead is just student - teacher.
    """
    n = len(lead) + 2
    g, l = sum(gain) / n, sum(lead) / n  # noqa: E741 - of the formula
    gg = (sum(x * x for x in gain) + 2) / n - g * g
    ll = (sum(x * x for x in lead) + 2) / n - l * l
    gl = (sum(x * y for x, y in zip(gain, lead, strict=True)) + 1) / n - g * l
    z2 = Z_95**2 / n
    return fieller(g, l, z2 * gg, z2 * ll, z2 * gl)


def fieller(g: float, l: float, gg: float, ll: float, gl: float) -> Interval:  # noqa: E741 - of the formula
    """Between the roots r of (g - r·l)² = gg - 2r·gl + r²·ll, of a ratio of two means whose lower one is clear of 0.

    Args:
        g: the upper mean.
        l: the lower one; l² > ll.
        gg: variance of the upper mean, times the squared quantile.
        ll: of the lower one.
        gl: covariance of both, times the same.
    """
    a, b, c = l * l - ll, g * l - gl, g * g - gg
    root = math.sqrt(max(0.0, b * b - a * c))
    return (b - root) / a, (b + root) / a
