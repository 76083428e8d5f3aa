import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.intervals import gap_recovered, interval, wilson


@pytest.mark.parametrize(
    ("passed", "n", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_against_published_values(passed: int, n: int, low: float, high: float) -> None:
    assert wilson(passed, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_stays_in_bounds(case: tuple[int, int]) -> None:
    passed, n = case
    low, high = wilson(passed, n)
    assert 0 <= low <= passed / n <= high <= 1


def test_fractions_get_a_bootstrap_near_the_normal_interval() -> None:
    scores = [0.25, 0.75] * 100
    low, high = interval(scores)
    half = 1.96 * 0.25 / math.sqrt(200)
    assert low == pytest.approx(0.5 - half, abs=0.006)
    assert high == pytest.approx(0.5 + half, abs=0.006)


def test_gap_value_and_interval() -> None:
    base, teacher, student = [0.0] * 100, [1.0] * 80 + [0.0] * 20, [1.0] * 60 + [0.0] * 40
    gap = gap_recovered(base, teacher, student)
    assert gap.value == pytest.approx(0.75)
    assert gap.refusal is None
    assert gap.interval is not None
    assert 0.6 < gap.interval[0] < 0.75 < gap.interval[1] < 0.9
    assert gap == gap_recovered(base, teacher, student)


def test_the_bootstrap_is_paired() -> None:
    # Student = teacher on every prompt: whatever the draw, the ratio is 1.
    teacher = [1.0, 0.0] * 30
    gap = gap_recovered([0.0] * 60, teacher, teacher)
    assert gap.interval == (1.0, 1.0)


def test_gap_is_refused_when_the_lead_may_be_none() -> None:
    gap = gap_recovered([0.0, 1.0] * 10, [1.0, 0.0] * 10, [1.0] * 20)
    assert gap.value is None
    assert gap.interval is None
    assert "includes 0" in (gap.refusal or "")


def test_gap_is_refused_when_the_teacher_is_worse() -> None:
    gap = gap_recovered([1.0] * 30, [0.0] * 30, [1.0] * 30)
    assert "lies below 0" in (gap.refusal or "")
