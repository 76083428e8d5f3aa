import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune import intervals
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


def test_gap_is_refused_for_a_handful_of_prompts() -> None:
    # A bootstrap of one prompt is sure of everything.
    assert gap_recovered([0.0] * 5, [1.0] * 5, [1.0] * 5).refusal == (
        "5 prompts are too few to tell a lead from chance; 6 are the fewest"
    )
    assert gap_recovered([0.0] * 6, [1.0] * 6, [1.0] * 6).interval == (1.0, 1.0)


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "RESAMPLES", 400)


SCORES = st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=30)


@pytest.mark.usefixtures("few_resamples")
def test_bootstraps_stay_in_bounds_and_turn_with_their_sign() -> None:
    @settings(max_examples=25, deadline=None)
    @given(SCORES, st.randoms(use_true_random=False))
    def holds(one: list[float], dice: random.Random) -> None:
        other = dice.choices([0.0, 0.5, 1.0], k=len(one))
        low, high = interval(one)
        assert 0 <= low <= high <= 1
        value, (below, above) = paired_difference(one, other)
        assert -1 <= below <= above <= 1
        turned, (lowest, highest) = paired_difference(other, one)
        assert turned == pytest.approx(-value)
        # Ranks k and n + 1 - k: what is cut off below is cut off above.
        assert (lowest, highest) == (pytest.approx(-above), pytest.approx(-below))
        assert paired_difference(one, one) == (0.0, (0.0, 0.0))

    holds()


@pytest.mark.parametrize("lead", [4, 5])
@pytest.mark.parametrize("gain", [0, 3, 60])
def test_a_gap_s_ends_are_numbers_though_some_resamples_have_no_lead(lead: int, gain: int) -> None:
    gap = gap_recovered([0.0] * 60, [1.0] * lead + [0.0] * (60 - lead), [1.0] * gain + [0.0] * (60 - gain))
    assert gap.interval is not None
    assert all(map(math.isfinite, gap.interval))


@pytest.mark.usefixtures("few_resamples")
def test_the_gap_s_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    dice = random.Random(0)  # noqa: S311 - not a secret
    base, teacher, student = 0.1, 0.85, 0.7
    truth, held, rounds = (student - base) / (teacher - base), 0, 200
    for _ in range(rounds):
        hard = [dice.random() for _ in range(80)]  # the same prompt is hard for all: what pairing is for
        answered = ([float(level < share) for level in hard] for share in (base, teacher, student))
        found = gap_recovered(*answered).interval
        assert found is not None
        held += found[0] <= truth <= found[1]
    assert 0.9 <= held / rounds <= 0.99
