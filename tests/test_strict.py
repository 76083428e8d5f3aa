"""The limiters that the fake provider measures with are strict themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strict import Bucket, Strict, Window, in_milliseconds, silent  # isort: skip - a helper beside the tests

# (seconds since the last, amount); of times that add up exactly
waits = st.lists(st.tuples(st.integers(0, 2048).map(lambda part: part / 1024), st.integers(1, 5)), max_size=60)


@given(waits)
def test_no_span_of_a_window_holds_more_than_its_amount(steps: list[tuple[float, int]]) -> None:
    window, now, passed = Window(10, 3), 0.0, list[tuple[float, int]]()
    for after_s, amount in steps:
        now += after_s
        if not window.wait_s(now, amount):
            window.take(now, amount)
            passed.append((now, amount))
    for end, _ in passed:
        assert sum(amount for at, amount in passed if end - 3 < at <= end) <= 10


@given(waits)
def test_a_bucket_lets_no_more_pass_than_it_holds_and_gets(steps: list[tuple[float, int]]) -> None:
    bucket, now, taken = Bucket(10, 2), 0.0, 0
    for after_s, amount in steps:
        now += after_s
        if not bucket.wait_s(now, amount):
            bucket.take(now, amount)
            taken += amount
    assert taken <= 10 + 2 * now + 1e-6


@pytest.mark.parametrize("meter", [Window(10, 3), Bucket(10, 2)])
def test_what_waited_as_long_as_it_was_told_passes(meter: Window | Bucket) -> None:
    meter.take(1.0, 10)
    wait_s = meter.wait_s(1.5, 4)
    assert wait_s > 0
    assert meter.wait_s(1.5 + wait_s / 2, 4) > 0
    assert meter.wait_s(1.5 + wait_s + 1e-9, 4) == 0


def test_the_stricter_meter_decides_and_the_refusal_says_what_is_left() -> None:
    strict = Strict(Window(10, 60), Window(30, 60), say_when=in_milliseconds, tell_limits=True)
    assert [strict.refusal({}, 0.0) for _ in range(2)] == [None, None]
    refusal = strict.refusal({}, 15.0)
    assert refusal is not None
    assert (refusal[0], refusal[1]["retry-after-ms"]) == (429, "45000")
    assert refusal[1]["x-ratelimit-remaining-requests"] == "8"
    assert refusal[1]["x-ratelimit-remaining-tokens"] == "0"
    assert (strict.passed_at, strict.refused_at) == ([0.0, 0.0], [15.0])


@pytest.mark.parametrize(("count_refused", "passes"), [(False, True), (True, False)])
def test_a_refused_request_counts_where_the_provider_counts_it(count_refused: bool, passes: bool) -> None:
    strict = Strict(Window(1, 10), say_when=silent, count_refused=count_refused)
    for now in (0.0, 9.0):
        strict.refusal({}, now)
    assert (strict.refusal({}, 10.5) is None) is passes
