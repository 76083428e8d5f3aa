import math
import random
import statistics

import pytest

from finetune.unbounded import gap_closed, interval, paired_difference, student_t


@pytest.mark.parametrize(("freedom", "published"), [(5, 2.571), (6, 2.447), (10, 2.228), (30, 2.042), (120, 1.980)])
def test_student_s_quantile_against_published_values(freedom: int, published: float) -> None:
    assert student_t(freedom) == pytest.approx(published, abs=1e-3)


def test_the_interval_of_a_mean_is_student_s() -> None:
    values = [3.0, 5.0, 4.0, 8.0, 1.0, 3.0]
    half = 2.5706 * statistics.stdev(values) / math.sqrt(6)
    assert interval(values) == pytest.approx((4 - half, 4 + half), abs=1e-3)
    assert interval(values[:5]) is None


def test_a_difference_is_paired() -> None:
    base, _, student = some_losses()
    value, found = paired_difference(student, base)
    apart = [mine - theirs for mine, theirs in zip(student, base, strict=True)]
    assert value == pytest.approx(statistics.fmean(apart))
    assert found == interval(apart)
    assert paired_difference(student[:5], base[:5])[1] is None


def test_the_interval_holds_the_true_mean_19_times_in_20() -> None:
    chance, held = random.Random(0), 0  # noqa: S311 - a draw, not a secret
    for _ in range(2000):
        low, high = interval([chance.gauss(7, 3) for _ in range(6)]) or (math.nan, math.nan)
        held += low <= 7 <= high
    assert held / 2000 == pytest.approx(0.95, abs=0.015)


def some_losses(prompts: int = 12) -> tuple[list[float], list[float], list[float]]:
    """Base, teacher and student, which closes 0.6 of the gap."""
    chance = random.Random(1)  # noqa: S311 - a draw, not a secret
    base = [3 + chance.random() for _ in range(prompts)]
    teacher = [1 + chance.random() for _ in range(prompts)]
    student = [0.4 * b + 0.6 * t + 0.05 * chance.random() for b, t in zip(base, teacher, strict=True)]
    return base, teacher, student


def test_the_share_of_the_gap_and_its_interval() -> None:
    base, teacher, student = some_losses()
    gap = gap_closed(base, teacher, student)
    means = [statistics.fmean(values) for values in (base, teacher, student)]
    assert gap.value == pytest.approx((means[0] - means[2]) / (means[0] - means[1]))
    assert gap.interval is not None
    assert 0.5 < gap.interval[0] < gap.value < gap.interval[1] < 0.65


def test_its_ends_are_the_ratios_that_are_just_not_ruled_out() -> None:
    base, teacher, student = some_losses()
    for ratio in gap_closed(base, teacher, student).interval or ():
        apart = [b - s - ratio * (b - t) for b, t, s in zip(base, teacher, student, strict=True)]
        low, high = interval(apart) or (math.nan, math.nan)
        assert min(abs(low), abs(high)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda b, t, s: (b[:5], t[:5], s[:5]), "5 prompts are too few"),
        (lambda b, t, s: (t, b, s), "lies below 0"),
        (lambda b, t, s: (b, [*t[:-1], 90.0], s), "includes 0"),
    ],
)
def test_no_share_of_a_gap_that_is_not_shown(change: object, reason: str) -> None:
    gap = gap_closed(*change(*some_losses()))  # type: ignore[operator]
    assert gap.value is None
    assert gap.interval is None
    assert reason in str(gap.refusal)
