"""A teacher that only fails is probed, not hammered, and given up in the end."""

import asyncio
from itertools import pairwise
from typing import Any

from harvester.adapting import Adapter, Told
from harvester.circuit import PATIENCE_S, SILENT_ROUNDS
from harvester.limiter import Limiter
from harvester.profiles import RateHeaders
from harvester.saying import NOTE, silent

from fake_clock import FakeClock  # isort: skip - a helper beside the tests


class Heard:
    """What was said, and the events by name."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.events: list[str] = []

    def __call__(self, line: str | None, /, *, event: str = NOTE, **_fields: Any) -> None:
        self.events.append(event)
        if line is not None:
            self.lines.append(line)


class Outage:
    """Workers against a teacher that fails from `begin` to `end` (seconds) and answers at once otherwise."""

    def __init__(self, begin: float, end: float, *, workers: int = 64) -> None:
        self.begin, self.end, self.workers = begin, end, workers
        self.sent: list[float] = []
        self.said = Heard()
        self.gave_up_at: float | None = None

    async def play(self, seconds: float) -> None:
        clock = FakeClock()
        limiter = Limiter(concurrency=self.workers, requests_per_minute=6000, clock=clock)
        adapter = Adapter(limiter, Told(True, True, True), RateHeaders(), self.said)

        async def worker() -> None:
            while self.gave_up_at is None:
                async with limiter.permit(1):
                    sent_at = clock.now()
                    self.sent.append(sent_at)
                    await clock.sleep(0.1)
                    if self.begin <= sent_at < self.end:
                        adapter.failed(sent_at=sent_at, reason="HTTP 503: over capacity")
                        if adapter.gives_up and self.gave_up_at is None:
                            self.gave_up_at = clock.now()
                    else:
                        adapter.answered({}, sent_at=sent_at)
                await clock.sleep(0.5)

        await clock.run(*(worker() for _ in range(self.workers)), until=seconds)

    def count(self, begin: float, end: float) -> int:
        return sum(begin <= at < end for at in self.sent)


def test_an_outage_is_probed_and_over_as_soon_as_a_probe_is_answered() -> None:
    outage = Outage(10, 70)
    asyncio.run(outage.play(100))
    assert outage.count(10, 70) <= 64 + 2 * SILENT_ROUNDS + 10  # what was on its way, and probes at 0.5, 1, 2, 4, … s
    assert outage.count(70, 100) > 100
    assert [line.removeprefix("teacher: ") for line in outage.said.lines] == [
        "nothing but failures (HTTP 503: over capacity); trying one request at a time until it answers", "answers again"
    ]  # fmt: skip
    assert outage.said.events == ["circuit_opened", "circuit_closed"]


def test_a_teacher_that_stays_silent_is_given_up() -> None:
    outage = Outage(10, 10_000)
    asyncio.run(outage.play(5_000))
    assert outage.gave_up_at is not None
    assert PATIENCE_S < outage.gave_up_at < PATIENCE_S + 180
    assert outage.count(100, outage.gave_up_at) <= PATIENCE_S / 60 + 5


def test_failures_between_answers_open_nothing() -> None:
    said = Heard()
    clock = FakeClock()
    adapter = Adapter(Limiter(concurrency=4, clock=clock), Told(True, True, True), RateHeaders(), said)
    for number in range(40):
        clock.time = number
        adapter.failed(sent_at=number)
        if number % 4 == 3:
            adapter.answered({}, sent_at=number)
    assert said.events == []


def probes(per_minute: float, latency_s: float, seconds: float) -> list[float]:
    """When requests go out once the circuit is open, each of which hangs for so long and fails."""

    async def scenario() -> list[float]:
        clock, sent = FakeClock(), []
        limiter = Limiter(concurrency=16, requests_per_minute=per_minute, clock=clock)
        adapter = Adapter(limiter, Told(True, True, True), RateHeaders(), silent)
        for number in range(SILENT_ROUNDS):
            clock.time = number + 1.0
            adapter.failed(sent_at=number + 0.5)

        async def worker() -> None:
            while True:
                async with limiter.permit(1):
                    sent.append(clock.now())
                    sent_at = clock.now()
                    await clock.sleep(latency_s)
                    adapter.failed(sent_at=sent_at)

        await clock.run(*(worker() for _ in range(16)), until=seconds)
        return sent

    return asyncio.run(scenario())


def test_a_probe_that_hangs_is_alone() -> None:
    sent = probes(6000, latency_s=100.0, seconds=500)
    assert all(later - earlier > 100 for earlier, later in pairwise(sent))


def test_probes_are_no_faster_than_a_told_limit() -> None:
    sent = probes(3, latency_s=0.1, seconds=300)
    assert len(sent) > 3
    assert all(later - earlier >= 20 for earlier, later in pairwise(sent))


def test_a_pause_that_the_teacher_asked_for_is_no_silence() -> None:
    clock = FakeClock()
    limiter = Limiter(concurrency=1, clock=clock)
    adapter = Adapter(limiter, Told(True, True, True), RateHeaders(), silent)
    adapter.throttled({}, after_s=1000.0, sent_at=0.0)
    clock.time = 1001.0
    adapter.throttled({}, after_s=1.0, sent_at=1000.5)
    assert adapter.gives_up is None
