"""The meters under a clock of the test's own: no real minute passes."""

import asyncio
import contextlib
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.limiter import SAFETY, Limiter, Meter

from fake_clock import FakeClock  # isort: skip - a helper beside the tests


def times_of(per_minute: float, amounts: list[float], used: list[float] | None = None) -> list[float]:
    async def scenario() -> list[float]:
        clock = FakeClock()
        meter = Meter(per_minute, clock)
        times: list[float] = []

        async def one(amount: float, settle: float | None) -> None:
            await meter.reserve(amount)
            times.append(clock.now())
            if settle is not None:
                meter.settle(amount, settle)

        of_use = used or [None] * len(amounts)  # type: ignore[list-item]
        await clock.run(*(one(a, u) for a, u in zip(amounts, of_use, strict=True)))
        return times

    return asyncio.run(scenario())


def test_requests_are_spaced_evenly() -> None:
    times = times_of(60, [1.0] * 5)
    assert [round(later - earlier, 6) for earlier, later in pairwise(times)] == [round(1 / SAFETY, 6)] * 4
    assert times[0] == 0.0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(1, 500), min_size=2, max_size=40))
def test_no_minute_ever_holds_more_than_the_limit(amounts: list[float]) -> None:
    times = times_of(1000, amounts)
    for start in range(len(times)):
        # The amount that crosses the window's end passed when the meter was not in debt: it is not counted twice.
        inside = sum(a for t, a in zip(times[start:-1], amounts[start:-1], strict=True) if t < times[start] + 60 - 1e-9)
        assert inside <= 1000 * SAFETY + max(amounts)


def test_tokens_that_were_not_used_are_given_back_at_once() -> None:
    assert times_of(60, [60.0, 1.0], used=[0.0, 1.0]) == [0.0, 0.0]


def test_tokens_used_beyond_the_reservation_are_paid_for_by_the_next() -> None:
    assert round(times_of(60, [1.0, 1.0], used=[30.0, 1.0])[1], 6) == round(30 / SAFETY, 6)


def test_a_large_request_is_not_starved_by_small_ones() -> None:
    async def scenario() -> list[str]:
        clock = FakeClock()
        meter = Meter(60, clock)
        order: list[str] = []

        async def one(name: str, amount: float) -> None:
            await meter.reserve(amount)
            order.append(name)

        names = [("first", 1.0), ("large", 50.0), *((f"small {n}", 1.0) for n in range(5))]
        await clock.run(*(one(*name) for name in names))
        return order

    assert asyncio.run(scenario())[:2] == ["first", "large"]


def test_a_permit_is_given_back_when_its_request_fails() -> None:
    async def fail_with_a_permit(limiter: Limiter) -> None:
        async with limiter.permit(1):
            raise ConnectionError

    async def scenario() -> int:
        limiter = Limiter(concurrency=1)
        for _ in range(3):
            with contextlib.suppress(ConnectionError):
                await fail_with_a_permit(limiter)
        async with limiter.permit(1):
            return 1

    assert asyncio.run(asyncio.wait_for(scenario(), 5)) == 1
