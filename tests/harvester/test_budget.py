"""The budget: settled + reserved never passes the limit, whatever comes back."""

import asyncio
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.budget import Budget, Cap, worst_case_nusd, worst_case_tokens
from harvester.errors import StoppedEarly
from harvester.pricing import FREE, Price
from harvester.records import canonical


def body(text: str, max_tokens: int = 10) -> bytes:
    return canonical({"messages": [{"role": "user", "content": text}], "max_tokens": max_tokens})


@settings(deadline=None)
@given(
    limit=st.integers(0, 2000),
    spent=st.integers(0, 500),
    attempts=st.lists(st.tuples(st.integers(0, 400), st.floats(0, 1), st.integers(0, 3)), max_size=30),
)
def test_no_order_of_attempts_passes_the_limit(limit: int, spent: int, attempts: list[tuple[int, float, int]]) -> None:
    async def scenario() -> None:
        budget = Budget(spent, [Cap("budget.usd", limit, spent)])
        reserved = 0

        async def attempt(worst: int, share: float, turns: int) -> None:
            nonlocal reserved
            try:
                async with budget.reserve(worst) as held:
                    reserved += worst
                    assert budget.spent_nusd + reserved <= limit
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    held.cost_nusd = int(worst * share)
                    reserved -= worst
            except StoppedEarly:
                return

        await asyncio.gather(*(attempt(*one) for one in attempts))
        assert budget.spent_nusd <= max(limit, spent)

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_an_attempt_waits_for_what_others_give_back() -> None:
    async def scenario() -> list[str]:
        budget, order = Budget(0, [Cap("budget.usd", 100)]), []

        async def first() -> None:
            async with budget.reserve(80) as held:
                await asyncio.sleep(0)
                order.append("first")
                held.cost_nusd = 10

        async def second() -> None:
            async with budget.reserve(90):
                order.append("second")

        await asyncio.gather(first(), second())
        return order

    assert asyncio.run(asyncio.wait_for(scenario(), 10)) == ["first", "second"]


def test_what_cannot_be_paid_stops_the_run_with_the_figures() -> None:
    async def scenario() -> None:
        async with Budget(9 * 10**8, [Cap("budget.usd", 10**9, 9 * 10**8)]).reserve(2 * 10**8):
            pass

    with pytest.raises(StoppedEarly, match=r"\$0\.900000 of \$1\.000000 is spent"):
        asyncio.run(scenario())


@pytest.mark.parametrize(
    ("limits", "stops_at", "field"),
    [({"budget.usd": (100, 40)}, 60, "budget.usd"), ({"budget.usd": (100, 40), "budget.run_usd": (50, 0)}, 50, "run"),
     ({"budget.run_usd": (50, 0), "teacher.budget_usd": (30, 5)}, 25, "teacher.budget_usd")],
)  # fmt: skip
def test_the_tightest_of_several_caps_holds(limits: dict[str, tuple[int, int]], stops_at: int, field: str) -> None:
    caps = [Cap(name, limit, spent) for name, (limit, spent) in limits.items()]

    async def spend(budget: Budget) -> None:
        while True:
            async with budget.reserve(1) as held:
                held.cost_nusd = 1

    budget = Budget(1000, caps)
    with pytest.raises(StoppedEarly, match=field):
        asyncio.run(spend(budget))
    assert budget.spent_nusd == 1000 + stops_at


def test_what_was_never_sent_costs_nothing() -> None:
    async def scenario() -> int:
        budget = Budget(0, [Cap("budget.usd", 10)])
        async with budget.reserve(10):
            pass  # it was cancelled while it waited for a permit
        return budget.spent_nusd

    assert asyncio.run(scenario()) == 0


@given(st.text(), st.integers(1, 10_000))
def test_the_worst_case_counts_every_byte_as_a_token(text: str, max_tokens: int) -> None:
    request = body(text.encode("utf-8", "replace").decode(), max_tokens)
    input_tokens, output_tokens = worst_case_tokens(request)
    assert input_tokens >= len(text.encode("utf-8", "replace"))
    assert output_tokens == max_tokens
    price = Price(Decimal("0.5"), Decimal(2))
    assert worst_case_nusd(price, request) == price.cost_nusd(input_tokens, output_tokens)
    assert worst_case_nusd(FREE, request) == 0


@pytest.mark.parametrize(("cached", "expected"), [(0, 280 * 1000 + 420 * 100), (600, 280 * 400 + 28 * 600 + 420 * 100)])
def test_a_price_is_integer_nano_dollars(cached: int, expected: int) -> None:
    price = Price(Decimal("0.28"), Decimal("0.42"), Decimal("0.028"))
    assert price.cost_nusd(1000, 100, cached) == expected


def test_a_fraction_of_a_nano_dollar_is_rounded_up() -> None:
    assert Price(Decimal("0.0001"), Decimal(0)).cost_nusd(1, 0) == 1
