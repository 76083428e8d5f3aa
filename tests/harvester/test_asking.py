"""One request's life, whatever the teacher answers: the bill never passes the budget."""

import asyncio
import contextlib
import json
from decimal import Decimal
from typing import Any

import aiohttp
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.adapting import Adapter, Told
from harvester.asking import Asker, Hooks
from harvester.budget import Budget, Cap, worst_case_nusd, worst_case_tokens
from harvester.errors import StoppedEarly, TeacherUnusable
from harvester.limiter import Limiter
from harvester.pricing import Price
from harvester.profiles import RateHeaders
from harvester.records import canonical
from harvester.retry import Received
from harvester.saying import silent

from fake_clock import FakeClock  # isort: skip - a helper beside the tests

ANSWER, SILENT, CUT, TIMEOUT, RESET, REFUSED, THROTTLED, DOWN, BAD = range(9)
BILLED = {ANSWER, SILENT, CUT, TIMEOUT, RESET}  # silent: without usage; the others: made, and lost on the way


class Teacher:
    """Bills what it made, and then answers, or does not, as the script says."""

    def __init__(self, clock: FakeClock, price: Price, script: list[tuple[int, float, float]], limit: int) -> None:
        self.clock, self.price, self.script, self.limit = clock, price, script, limit
        self.bill = 0

    async def send(self, body: bytes) -> Received:
        kind, input_share, output_share = self.script.pop() if self.script else (ANSWER, 1.0, 1.0)
        most_input, most_output = worst_case_tokens(body)
        used = int(most_input * input_share), int(most_output * output_share)
        await self.clock.sleep(0.1 + output_share)
        if kind in BILLED:
            self.bill += self.price.cost_nusd(*used)
            assert self.bill <= self.limit
        return self.reply(kind, used)

    def reply(self, kind: int, used: tuple[int, int]) -> Received:
        if kind == TIMEOUT:
            raise TimeoutError
        if kind == RESET:
            raise ConnectionResetError
        if kind == REFUSED:
            key: Any = type("Key", (), {"ssl": None, "host": "h", "port": 1})()
            raise aiohttp.ClientConnectorError(key, OSError(111, "refused"))
        if kind in (THROTTLED, DOWN, BAD):
            return Received({THROTTLED: 429, DOWN: 503, BAD: 400}[kind], {}, b"{}")
        usage = {"prompt_tokens": used[0], "completion_tokens": used[1]} if kind == ANSWER else None
        whole = json.dumps({"choices": [{"message": {"content": "x"}}], "usage": usage}).encode()
        return Received(200, {}, whole[:10] if kind == CUT else whole)


@settings(deadline=None, max_examples=60)
@given(
    prices=st.tuples(st.integers(0, 5000), st.integers(0, 5000)),
    budget_in_requests=st.floats(0, 12),
    script=st.lists(st.tuples(st.integers(0, 8), st.floats(0, 1), st.floats(0, 1)), max_size=60),
    concurrency=st.integers(1, 8),
)
def test_random_replies_faults_and_prices_never_pass_the_budget(
    prices: tuple[int, int], budget_in_requests: float, script: list[tuple[int, float, float]], concurrency: int
) -> None:
    price = Price(Decimal(prices[0]), Decimal(prices[1]))
    body = canonical({"messages": [{"role": "user", "content": "a prompt"}], "max_tokens": 20})
    limit = int(worst_case_nusd(price, body) * budget_in_requests)

    async def scenario() -> None:
        clock = FakeClock()
        teacher, budget, lost = Teacher(clock, price, script, limit), Budget(0, [Cap("budget.usd", limit)]), [0]
        limiter = Limiter(concurrency=concurrency, clock=clock)
        asker = Asker(
            teacher,  # type: ignore[arg-type]
            limiter=limiter,
            adapter=Adapter(limiter, Told(False, False, True), RateHeaders(), silent),
            budget=budget,
            price=price,
            hooks=Hooks(sending=lambda _: None, lost=lost.append, sleep=clock.sleep),
        )
        answered: list[int] = []

        async def ask() -> None:
            with contextlib.suppress(StoppedEarly, TeacherUnusable):
                answered.append(getattr(await asker.ask(body, 3), "cost_nusd", 0))

        await clock.run(*(ask() for _ in range(16)))
        assert teacher.bill <= budget.spent_nusd <= limit
        assert budget.spent_nusd == sum(answered) + sum(lost)

    asyncio.run(asyncio.wait_for(scenario(), 60))
