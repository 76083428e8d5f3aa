"""Finding limits that are not told, against strict limiters, in the time of a fake clock."""

import asyncio
import math
from collections import deque
from typing import Any, Protocol

import pytest

from harvester.adapting import FIRST_CONCURRENCY, Adapter, Told
from harvester.limiter import Limiter
from harvester.profiles import RateHeaders
from harvester.saying import silent

from fake_clock import FakeClock  # isort: skip - a helper beside the tests

PER_S = 20.0
HEADERS = RateHeaders(limit="limit-{kind}", remaining="remaining-{kind}", reset="reset-{kind}")


class Strict(Protocol):
    def refuses(self, now: float) -> float | None: ...


class Window:
    """So many requests in any span of so many seconds."""

    def __init__(self, requests: int, seconds: float) -> None:
        self.requests, self.seconds, self.passed = requests, seconds, deque[float]()

    def refuses(self, now: float) -> float | None:
        while self.passed and self.passed[0] <= now - self.seconds:
            self.passed.popleft()
        if len(self.passed) < self.requests:
            self.passed.append(now)
            return None
        return self.passed[0] + self.seconds - now


class Bucket:
    """Refilled at PER_S; holds at most so many."""

    def __init__(self, holds: float) -> None:
        self.holds = self.has = holds
        self.at = 0.0

    def refuses(self, now: float) -> float | None:
        self.has, self.at = min(self.holds, self.has + (now - self.at) * PER_S), now
        if self.has >= 1:
            self.has -= 1
            return None
        return (1 - self.has) / PER_S


class Scene:
    """Workers against a strict teacher; `share_used` and `share_refused` over a span of time."""

    def __init__(self, strict: Strict, *, told: bool, latency_s: float, says_when: bool = True) -> None:
        self.strict, self.latency_s, self.says_when = strict, latency_s, says_when
        self.log: list[tuple[float, bool]] = []
        self.told = told

    async def play(self, seconds: float) -> None:
        clock = FakeClock()
        limiter = Limiter(
            concurrency=64 if self.told else FIRST_CONCURRENCY,
            requests_per_minute=60 * PER_S if self.told else math.inf,
            clock=clock,
        )
        adapter = Adapter(limiter, Told(self.told, True, self.told), RateHeaders(), silent)

        async def worker() -> None:
            while True:
                async with limiter.permit(1):
                    sent_at = clock.now()
                    after_s = self.strict.refuses(sent_at)
                    self.log.append((sent_at, after_s is None))
                    await clock.sleep(self.latency_s)
                    if after_s is None:
                        adapter.answered({}, sent_at=sent_at)
                    else:
                        told_s = after_s if self.says_when else None
                        adapter.throttled({}, after_s=told_s, sent_at=sent_at)
                if after_s is not None:
                    await clock.sleep(max(0.25, after_s if self.says_when else 1.0))

        await clock.run(*(worker() for _ in range(128)), until=seconds)

    def shares(self, begin: float, end: float) -> tuple[float, float]:
        passed = [ok for sent_at, ok in self.log if begin <= sent_at < end]
        return sum(passed) / ((end - begin) * PER_S), 1 - sum(passed) / len(passed)


@pytest.mark.parametrize("strict", [lambda: Window(1200, 60), lambda: Window(20, 1), lambda: Bucket(1)])
@pytest.mark.parametrize("latency_s", [0.05, 2.0])
def test_a_told_limit_is_used_and_never_refused(strict: Any, latency_s: float) -> None:
    scene = Scene(strict(), told=True, latency_s=latency_s)
    asyncio.run(scene.play(120))
    used, refused = scene.shares(5, 120)
    assert used >= 0.97
    assert refused == 0.0


@pytest.mark.parametrize("says_when", [True, False])
@pytest.mark.parametrize("strict", [lambda: Window(20, 1), lambda: Bucket(20), lambda: Bucket(1)])
def test_a_limit_that_is_not_told_is_found(strict: Any, says_when: bool) -> None:
    scene = Scene(strict(), told=False, latency_s=0.05, says_when=says_when)
    asyncio.run(scene.play(180))
    assert scene.shares(10, 180)[1] < 0.01
    assert scene.shares(60, 180)[0] > 0.7


def test_a_minutes_window_that_was_used_up_at_once_is_paced_afterwards() -> None:
    scene = Scene(Window(1200, 60), told=False, latency_s=0.05)
    asyncio.run(scene.play(180))
    used, refused = scene.shares(60, 180)
    assert used > 0.9
    assert refused < 0.01


def adapted(*, told: bool = False) -> tuple[FakeClock, Limiter, Adapter]:
    clock = FakeClock()
    limiter = Limiter(concurrency=8, requests_per_minute=600.0 if told else math.inf, clock=clock)
    return clock, limiter, Adapter(limiter, Told(told, True, told), HEADERS, silent)


async def passes_at(clock: FakeClock, limiter: Limiter) -> float:
    moment = math.nan

    async def one() -> None:
        nonlocal moment
        async with limiter.permit(1):
            moment = clock.now()

    await clock.run(one())
    return moment


def test_nobody_sends_before_the_time_a_refusal_names() -> None:
    async def scenario() -> float:
        clock, limiter, adapter = adapted(told=True)
        adapter.throttled({}, after_s=30.0, sent_at=0.0)
        return await passes_at(clock, limiter)

    assert asyncio.run(scenario()) == 30.0


def test_a_limit_in_the_headers_is_a_ceiling_and_a_spent_one_is_waited_for() -> None:
    async def scenario() -> tuple[float, float]:
        clock, limiter, adapter = adapted()
        headers = {"limit-requests": "120", "remaining-requests": "0", "reset-requests": "1m30s"}
        adapter.answered(headers, sent_at=0.0)
        return limiter.requests.per_minute, await passes_at(clock, limiter)

    assert asyncio.run(scenario()) == (120.0, 90.0)


@pytest.mark.parametrize("nonsense", ["-1", "0", "", "nan", "inf", "many"])
def test_nonsense_in_the_headers_changes_nothing(nonsense: str) -> None:
    async def scenario() -> tuple[float, float]:
        clock, limiter, adapter = adapted(told=True)
        adapter.answered({"limit-requests": nonsense, "remaining-requests": "0", "reset-requests": "9s"}, sent_at=0.0)
        return limiter.requests.per_minute, await passes_at(clock, limiter)

    assert asyncio.run(scenario()) == (600.0, 0.0)


def test_several_refusals_of_one_moment_are_one_drop() -> None:
    _, limiter, adapter = adapted()
    for _ in range(8):
        adapter.throttled({}, after_s=None, sent_at=0.0)
    assert limiter.slots.size == 7


def test_concurrency_grows_only_where_it_is_used() -> None:
    async def scenario() -> list[int]:
        _, limiter, adapter = adapted()
        adapter.answered({}, sent_at=0.0)
        idle = limiter.slots.size
        for _ in range(4):
            await limiter.slots.enter()
        adapter.answered({}, sent_at=0.0)
        return [idle, limiter.slots.size]

    assert asyncio.run(scenario()) == [8, 9]


def test_a_limit_that_comes_back_in_hours_ends_the_run() -> None:
    _, _, adapter = adapted()
    assert adapter.gives_up is None
    headers = {"limit-requests": "120", "remaining-requests": "0", "reset-requests": "8h0m"}
    adapter.answered(headers, sent_at=0.0)
    assert adapter.gives_up == "its limit is used up and comes back in 8.0 hours"


def test_a_server_that_queues_without_bound_is_not_filled_until_nothing_comes_back_in_time() -> None:
    """One answer a second, whoever waits; attempts have a deadline of a minute."""

    async def scenario() -> tuple[int, float]:
        clock = FakeClock()
        limiter = Limiter(concurrency=FIRST_CONCURRENCY, clock=clock)
        adapter = Adapter(limiter, Told(False, True, False), HEADERS, silent, deadline_s=60.0)
        free_at = slowest = 0.0

        async def worker() -> None:
            nonlocal free_at, slowest
            while True:
                async with limiter.permit(1):
                    sent_at = clock.now()
                    free_at = max(free_at, sent_at) + 1.0
                    await clock.sleep(free_at - sent_at)
                    slowest = max(slowest, clock.now() - sent_at)
                    adapter.answered({}, sent_at=sent_at)

        await clock.run(*(worker() for _ in range(128)), until=600)
        return limiter.slots.size, slowest

    size, slowest = asyncio.run(scenario())
    assert size < 60
    assert slowest < 60


def closed_again(adapter: Adapter, clock: FakeClock) -> None:
    """An outage, and its end by an answer to an older request."""
    for number in range(1, 10):
        clock.time = float(number)
        adapter.failed(sent_at=number - 0.5)


def test_an_answer_to_an_older_request_ends_no_pause_that_the_teacher_asked_for() -> None:
    async def scenario() -> float:
        clock, limiter, adapter = adapted()
        closed_again(adapter, clock)
        adapter.throttled({}, after_s=30.0, sent_at=8.9)
        adapter.answered({}, sent_at=8.0)
        return await passes_at(clock, limiter)

    assert asyncio.run(scenario()) == 39.0


def test_a_reply_that_ends_probing_and_says_that_a_limit_is_spent_is_obeyed() -> None:
    async def scenario() -> float:
        clock, limiter, adapter = adapted()
        for number in (1.0, 2.0, 3.0):
            clock.time = number
            adapter.throttled({}, after_s=None, sent_at=number - 0.1)
        clock.time = 4.0
        headers = {"limit-requests": "120", "remaining-requests": "0", "reset-requests": "20s"}
        adapter.answered(headers, sent_at=3.9)
        return await passes_at(clock, limiter)

    assert asyncio.run(scenario()) == 24.0


def test_a_senseless_limit_of_tokens_stalls_nobody() -> None:
    limiter = Limiter(concurrency=8, clock=FakeClock())
    adapter = Adapter(limiter, Told(False, False, False), HEADERS, silent)
    adapter.answered({"limit-requests": "60", "limit-tokens": "1"}, sent_at=0.0)
    assert limiter.tokens.per_minute == math.inf
    adapter.answered({"limit-requests": "60", "limit-tokens": "90000"}, sent_at=0.0)
    assert limiter.tokens.per_minute == 90_000
