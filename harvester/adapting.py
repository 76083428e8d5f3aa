"""Finding a teacher's limits where they are not told: from its headers, else from its 429s (AIMD).

Not by latency: it follows the length of the answers. It only says what a refusal costs, which is whatever was on its
way. Why the constants are what they are, and what they give against windows and buckets of several sizes:
docs/design/004-collecting.md.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from harvester.circuit import PATIENCE_S, Circuit, probe
from harvester.limiter import LONGEST_WAIT_S, Limiter
from harvester.profiles import RateHeaders, Remaining
from harvester.saying import Say

DROP = 0.9
"""Factor on a drop, as in Netflix's concurrency-limits."""
MOST_CLIMB_PER_S = 0.03
CLIMB_PER_S = 0.004
CLIMB_DOUBLES_AFTER_S = 30.0
"""Share of the rate added per second; it grows with the square of the time since the last drop, as in TCP CUBIC: slow
around the limit that was just met, fast where the estimate was far too low."""
DROPS_COST = 0.005
"""Share of the requests that may be refused: with more on the way at a drop, the next one is made to come later."""
UNSURE_CLIMB_PER_S = 0.2
"""Added climb where the rate rests on a single answer; n answers divide it by n."""
SHORT_S, LONG_S = 5, 60
"""What the teacher is shown to allow is measured over so many seconds before a drop: the short span follows a bucket's
refill, the long one a limit that counts whole minutes."""
FIRST_CONCURRENCY = 16
DOUBLING_CONCURRENCY = 32
"""Up to here every answer adds a request in flight, from here on every fourth: what is in flight when a limit is met is
refused."""
MOST_CONCURRENCY = 1024
MOST_OF_DEADLINE = 0.2
"""Share of an attempt's deadline that answers may take; more in flight would only wait longer."""
FIRST_COST = 0.25
"""Guess of the share of what is on its way that a drop refuses, before a steady rate has shown it."""
WORTH_SAYING_S, WORTH_LOGGING_S = 30.0, 0.5
LEAST_TOKENS = 1000
"""Tokens a minute: a header that says less does not fit a single request, and is nonsense."""


@dataclass(frozen=True, slots=True)
class Told:
    """Which limits the recipe states: those are kept as they are."""

    requests_per_minute: bool
    tokens_per_minute: bool
    concurrency: bool


class Adapter:
    """Moves a limiter's rate and concurrency by what the teacher answers.

    On a drop the new rate is nine tenths of what the teacher has just shown to allow: the answers of the last seconds
    over those seconds and the wait that it asks for; it is taken up from one request in flight. Where nothing passes
    after that it is probed twice as rarely each time.
    """

    def __init__(
        self,
        limiter: Limiter,
        told: Told,
        headers: RateHeaders,
        say: Say,
        deadline_s: float = math.inf,
    ) -> None:
        """An adapter that holds what is told, but never resizes it.

        Args:
            limiter: what it moves.
            told: what it leaves alone.
            headers: the provider's.
            say: hears of pauses.
            deadline_s: of one attempt; a server that queues without bound must not be filled until it is missed.
        """
        self._limiter, self._told, self._headers, self._say = limiter, told, headers, say
        self._deadline_s = deadline_s
        now = limiter.clock.now()
        self._circuit = Circuit(limiter, say)
        self._ceiling = math.inf  # requests per minute, from headers
        self._rate = limiter.requests.per_minute  # the rate aimed at, while the meter is at less
        self._passed = Recent(now)
        self._spent_for_s = 0.0  # the limit that the last reply says is used up
        self._answers = 0
        self._latency_s = 0.0  # mean of the last answers
        # Of the last drop:
        self._drops = 0  # refusals in a row, with nothing passing in between
        self._dropped_at = self._resumed_at = -math.inf
        self._refused_first_at = self._refused_before_at = -math.inf  # when it was sent
        self._rate_before = math.inf
        self._rests_on = math.inf  # answers behind the rate
        self._steady = False  # it came at a rate that was known well
        self._refused = 1.0
        self._climbed_at = now

    def answered(self, headers: Mapping[str, str], *, sent_at: float) -> None:
        """An answer came: climb, and read what the headers say of the limits."""
        now = self._limiter.clock.now()
        self._passed.add(sent_at)
        self._answers += 1
        self._latency_s += (now - sent_at - self._latency_s) / min(self._answers, 16)
        if self._circuit.answered():
            self._limiter.requests.next_at(now)
            self._start_slowly()
        self._obey(self._headers.read(headers), now)
        if sent_at > self._dropped_at:
            if self._drops > 1:
                self._aim(DROP * min(self._rate_before, self._shown(now)))
                self._limiter.requests.next_at(now)
                self._start_slowly()
            self._drops = 0
            self._climb(now)

    def throttled(self, headers: Mapping[str, str], *, after_s: float | None, sent_at: float) -> None:
        """A 429 or its like came: nobody sends before the time it names, and limits that are not told drop.

        Requests that were on their way when the first of them was refused are one drop, not many.
        """
        now = self._limiter.clock.now()
        self._obey(self._headers.read(headers), now)
        self._hold(now + (after_s or 0.0))
        self._refused += self._steady
        if sent_at <= self._dropped_at:
            return
        self._dropped_at, self._climbed_at = now, now + (after_s or 0.0)
        self._resumed_at = self._climbed_at
        self._drops += 1
        if self._drops == 1:
            self._first_drop(sent_at, now + (after_s or 0.0))
        else:
            probe(self._limiter, self._drops - 2, after_s or 0.0)

    def failed(self, *, sent_at: float, reason: str = "") -> None:
        """A request failed in a way that says nothing of limits: no connection, no answer in time, a server's error."""
        self._circuit.failed(sent_at=sent_at, reason=reason)

    @property
    def requests_per_minute(self) -> float:
        """The rate aimed at: told, or as far as it is found; math.inf where nothing limits it yet."""
        return self._rate

    @property
    def circuit_open(self) -> bool:
        """Whether nothing but failures came, and the teacher is only probed."""
        return self._circuit.is_open

    @property
    def gives_up(self) -> str | None:
        """Why this run should send nothing further to the teacher; None while it may."""
        if self._spent_for_s > LONGEST_WAIT_S:
            return f"its limit is used up and comes back in {self._spent_for_s / 3600:.1f} hours"
        if self._circuit.silent_too_long and (self._circuit.is_open or self._drops > 1):
            return f"no answer for {PATIENCE_S / 60:.0f} minutes, though probed"
        return None

    def _hold(self, moment: float) -> None:
        meter, now = self._limiter.requests, self._limiter.clock.now()
        longer_s = moment - max(meter.held_until, now)
        if longer_s >= WORTH_LOGGING_S:
            line = f"teacher: asks to wait {moment - now:.0f} s; nothing is sent until then"
            said = line if longer_s > WORTH_SAYING_S else None
            self._say(said, event="teacher_paused", seconds=round(moment - now, 3))
        meter.hold_until(moment)

    def _first_drop(self, sent_at: float, resumed_at: float) -> None:
        self._refused_before_at, self._refused_first_at = self._refused_first_at, sent_at
        self._rate_before = self._rate
        self._steady = UNSURE_CLIMB_PER_S / max(self._rests_on, 1) < CLIMB_PER_S and self._rate_before < math.inf
        self._rests_on = self._passed.count(LONG_S, sent_at)[0]
        self._aim(DROP * min(self._rate_before, self._shown(resumed_at)))
        self._refused = 1 if self._steady else max(1.0, self._rate / 60 * self._latency_s * FIRST_COST)
        if not self._told.requests_per_minute:
            self._start_slowly()
        slots = self._limiter.slots
        if not self._told.concurrency:
            slots.resize(max(1, int(slots.size * DROP)))

    def _start_slowly(self) -> None:
        """Go on with one request in flight; each answer lets one more on its way until the rate is reached."""
        if self._latency_s:
            self._limiter.requests.per_minute = min(self._rate, 60.0 / self._latency_s)

    def _shown(self, resumed_at: float) -> float:
        """Requests per minute that passed until the first refused one was sent, the wait after it included.

        Since the drop before it, if that was within the minute: what passed until then may have been saved up. Else
        the busier of both spans: the long one holds all of a used up minute, the short one no slow beginning.
        """
        until = self._refused_first_at
        spans = (SHORT_S,) if until - self._refused_before_at < LONG_S else (SHORT_S, LONG_S)
        shown = 0.0
        for seconds in spans:
            passed, span_s = self._passed.count(seconds, until)
            shown = max(shown, 60.0 * max(passed, 1) / max(span_s + resumed_at - until, 1e-3))
        return shown

    def _climb(self, now: float) -> None:
        between_s = 60 * self._refused / (DROPS_COST * self._rate)
        since_drop_s = min(now - self._resumed_at, 1e6)
        slow = min(CLIMB_PER_S, (1 - DROP) / max(between_s, 1.0))
        share = slow * (1 + (since_drop_s / max(CLIMB_DOUBLES_AFTER_S, between_s / 3)) ** 2)
        share = min(share, MOST_CLIMB_PER_S) + UNSURE_CLIMB_PER_S / max(self._rests_on, 1)
        passed_s, self._climbed_at = max(now - self._climbed_at, 0.0), now
        self._aim(self._rate * (1 + share * passed_s))
        meter = self._limiter.requests
        meter.per_minute = min(self._rate, meter.per_minute + 60.0 / max(self._latency_s, 1e-3))
        self._widen()

    def _widen(self) -> None:
        slots = self._limiter.slots
        if self._told.concurrency or not 2 * slots.in_use >= slots.size < MOST_CONCURRENCY:
            return
        if self._latency_s > self._deadline_s * MOST_OF_DEADLINE:
            return
        if slots.size < DOUBLING_CONCURRENCY or self._answers % 4 == 0:
            slots.resize(slots.size + 1)

    def _aim(self, per_minute: float) -> None:
        if not self._told.requests_per_minute:
            self._rate = max(1.0, min(per_minute, self._ceiling))
            meter = self._limiter.requests
            meter.per_minute = min(meter.per_minute, self._rate)

    def _obey(self, said: Remaining, now: float) -> None:
        if said.requests_per_minute:
            self._ceiling = said.requests_per_minute
            self._aim(self._rate)
        if (said.tokens_per_minute or 0) >= LEAST_TOKENS and not self._told.tokens_per_minute:
            self._limiter.tokens.per_minute = said.tokens_per_minute or math.inf
        self._spent_for_s = said.spent_for_s or 0.0
        if 0 < self._spent_for_s <= LONGEST_WAIT_S:
            self._hold(now + self._spent_for_s)


class Recent:
    """Counts the answered requests of the last two minutes by the second in which they were sent."""

    def __init__(self, began: float) -> None:
        """Nothing was sent before `began` (seconds)."""
        self._began = began
        self._bins: dict[int, int] = {}  # second → requests

    def add(self, sent_at: float) -> None:
        """One more that was answered."""
        second = int(sent_at)
        if second in self._bins:
            self._bins[second] += 1
            return
        self._bins[second] = 1
        for old in [one for one in self._bins if one < second - 2 * LONG_S]:
            del self._bins[old]

    def count(self, seconds: int, until: float) -> tuple[int, float]:
        """(requests, span in seconds) of the last full `seconds` before `until` and the current one."""
        first = int(until) - seconds
        found = sum(self._bins.get(second, 0) for second in range(first, int(until) + 1))
        return found, until - max(first, self._began)
