import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.intervals import gap_recovered, interval, paired_difference, wilson


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


def test_fractions_get_an_interval_near_the_normal_one() -> None:
    low, high = interval([0.25, 0.75] * 100)
    half = 1.96 * 0.25 / math.sqrt(200)
    assert low == pytest.approx(0.5 - half, abs=0.006)
    assert high == pytest.approx(0.5 + half, abs=0.006)


def test_one_fraction_hardly_moves_wilson_s_interval() -> None:
    assert interval([0.999] + [1.0] * 50 + [0.0] * 49) == pytest.approx(wilson(51, 100), abs=0.002)


def test_a_difference_counts_one_prompt_more_for_each_side() -> None:
    # Bonett & Price 2012: b = 7 and c = 1 of n = 21; (b - c) / (n + 2) and its standard error over n + 2.
    value, found = paired_difference([1.0] * 7 + [0.0] + [1.0] * 13, [0.0] * 7 + [1.0] * 14)
    assert value == pytest.approx(6 / 21)
    share, more, less = 6 / 23, 8 / 23, 2 / 23
    half = 1.959964 * math.sqrt((more + less - share**2) / 23)
    assert found == pytest.approx((share - half, share + half))


def test_gap_value_and_interval() -> None:
    base, teacher, student = [0.0] * 100, [1.0] * 80 + [0.0] * 20, [1.0] * 60 + [0.0] * 40
    gap = gap_recovered(base, teacher, student)
    assert gap.value == pytest.approx(0.75)
    assert gap.refusal is None
    assert gap.interval is not None
    assert 0.6 < gap.interval[0] < 0.75 < gap.interval[1] < 0.9


@pytest.mark.parametrize("prompts", [6, 12, 100])
def test_prompts_that_all_agree_are_not_certainty(prompts: int) -> None:
    none, all_right = [0.0] * prompts, [1.0] * prompts
    halves = [0.5] * prompts
    gap = gap_recovered(none, all_right, all_right)
    assert gap.interval is not None
    found = {
        "score": interval(halves),
        "tie": paired_difference(all_right, all_right)[1],
        "lead": paired_difference(all_right, none)[1],
        "half a lead": paired_difference(all_right, halves)[1],
        "gap": gap.interval,
    }
    # What no prompt of n shows may still be so for 3 of n ("rule of three"): about that wide, and never surer.
    assert {name for name, ends in found.items() if ends is None or ends[1] - ends[0] < 1.5 / prompts} == set()


def test_the_gap_is_paired() -> None:
    # Student = teacher on every prompt: far surer than two who are right as often on different ones.
    teacher = [1.0, 0.0] * 30
    same, other = (gap_recovered([0.0] * 60, teacher, student).interval for student in (teacher, teacher[::-1]))
    assert same is not None
    assert other is not None
    assert 0 < same[1] - same[0] < (other[1] - other[0]) / 3


def test_gap_is_refused_when_the_lead_may_be_none() -> None:
    gap = gap_recovered([0.0, 1.0] * 10, [1.0, 0.0] * 10, [1.0] * 20)
    assert gap.value is None
    assert gap.interval is None
    assert "includes 0" in (gap.refusal or "")


def test_gap_is_refused_when_the_teacher_is_worse() -> None:
    gap = gap_recovered([1.0] * 30, [0.0] * 30, [1.0] * 30)
    assert "lies below 0" in (gap.refusal or "")


def test_a_handful_of_prompts_gets_no_interval() -> None:
    assert gap_recovered([0.0] * 5, [1.0] * 5, [1.0] * 5).refusal == (
        "5 prompts are too few to tell a lead from chance; 6 are the fewest"
    )
    assert paired_difference([1.0] * 5, [0.0] * 5) == (1.0, None)
    assert gap_recovered([0.0] * 6, [1.0] * 6, [1.0] * 6).value == 1.0


SCORES = st.lists(st.sampled_from([0.0, 0.3, 0.5, 0.99, 1.0]), min_size=1, max_size=30)


@given(SCORES, st.randoms(use_true_random=False))
def test_intervals_hold_their_value_stay_in_bounds_and_turn_with_their_sign(
    one: list[float], dice: random.Random
) -> None:
    low, high = interval(one)
    assert 0 <= low <= sum(one) / len(one) <= high <= 1
    other = dice.choices([0.0, 0.5, 1.0], k=len(one))
    value, found = paired_difference(one, other)
    turned, mirrored = paired_difference(other, one)
    assert turned == pytest.approx(-value)
    if found is None or mirrored is None:
        assert found is mirrored is None
        assert len(one) < 6
        return
    assert -1 <= found[0] <= value <= found[1] <= 1
    assert mirrored == (pytest.approx(-found[1]), pytest.approx(-found[0]))


@given(SCORES, st.randoms(use_true_random=False))
def test_a_gap_is_given_just_where_the_lead_is_clear_and_lies_in_its_finite_interval(
    base: list[float], dice: random.Random
) -> None:
    teacher, student = ([min(1.0, score + dice.choice([0, 0.5, 1])) for score in base] for _ in range(2))
    gap, lead = gap_recovered(base, teacher, student), paired_difference(teacher, base)[1]
    assert (gap.value is not None) == (lead is not None and lead[0] > 0)
    if gap.value is not None and gap.interval is not None:
        assert all(map(math.isfinite, gap.interval))
        assert gap.interval[0] - 1e-9 <= gap.value <= gap.interval[1] + 1e-9


@pytest.mark.parametrize("n", [12, 100])
@pytest.mark.parametrize(
    ("better", "worse"), [(0.02, 0.0), (0.1, 0.0), (0.15, 0.0), (0.2, 0.1), (0.4, 0.1), (0.5, 0.0), (0.9, 0.0)]
)
def test_a_difference_s_interval_holds_the_truth_as_often_as_it_says(n: int, better: float, worse: float) -> None:
    # Exact: every outcome of n prompts with its probability.
    held = 0.0
    for more in range(n + 1):
        for less in range(n + 1 - more):
            tied = n - more - less
            ways = math.comb(n, more) * math.comb(n - more, less)
            chance = ways * better**more * worse**less * (1 - better - worse) ** tied
            if chance > 1e-9:
                one, other = [1.0] * more + [0.0] * (less + tied), [0.0] * more + [1.0] * less + [0.0] * tied
                ends = paired_difference(one, other)[1]
                assert ends is not None
                held += chance * (ends[0] <= better - worse <= ends[1])
    assert held >= 0.93


def arms(dice: random.Random, n: int, shares: tuple[float, ...], *, alike: bool) -> list[list[float]]:
    """Answers of several arms to n prompts; alike: what is hard for one is hard for all."""
    levels = [[dice.random()] * len(shares) if alike else [dice.random() for _ in shares] for _ in range(n)]
    return [[float(level[arm] < share) for level in levels] for arm, share in enumerate(shares)]


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("shares", [(0.0, 0.8, 0.8), (0.1, 0.85, 0.7), (0.3, 0.9, 0.5), (0.05, 0.95, 1.0)])
@pytest.mark.parametrize("n", [12, 100])
def test_a_gap_s_interval_holds_the_truth_about_as_often_as_it_says(
    n: int, shares: tuple[float, float, float], alike: bool
) -> None:
    dice = random.Random(n)  # noqa: S311 - not a secret
    base, teacher, student = shares
    truth = (student - base) / (teacher - base)
    found = [gap_recovered(*arms(dice, n, shares, alike=alike)).interval for _ in range(500)]
    given = [ends for ends in found if ends is not None]
    assert len(given) > 250
    assert sum(low <= truth <= high for low, high in given) / len(given) >= 0.93


@pytest.mark.parametrize("n", [12, 100])
def test_an_interval_of_fractions_holds_the_truth_about_as_often_as_it_says(n: int) -> None:
    dice, rounds = random.Random(n), 500  # noqa: S311 - not a secret
    for share in (0.05, 0.5, 0.9):
        scores = ([sum(dice.random() < share for _ in range(4)) / 4 for _ in range(n)] for _ in range(rounds))
        assert sum(low <= share <= high for low, high in map(interval, scores)) / rounds >= 0.93
