"""Finding a teacher's limits where they are not told: from its headers, else from its 429s (AIMD).

Not from latency: it follows the length of the answers. Why the constants are what they are, and what they give against
windows and buckets of several sizes: docs/design/004-collecting.md.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from harvester.limiter import Limiter
from harvester.profiles import RateHeaders, Remaining

DROP = 0.9
"""Factor on a drop, as in Netflix's concurrency-limits."""
CLIMB_PER_S = 0.004
CLIMB_DOUBLES_AFTER_S = 30.0
MOST_CLIMB_PER_S = 0.2
"""Share of the rate added per second; it grows with the square of the time since the last drop, as in TCP CUBIC: slow
around the limit that was just met, fast where the estimate was far too low."""
SHORT_S, LONG_S = 5, 60
"""What the teacher is shown to allow is measured over so many seconds before a drop: the short span follows a bucket's
refill, the long one a limit that counts whole minutes."""
FIRST_CONCURRENCY = 16
MOST_CONCURRENCY = 1024
LONGEST_PROBE_S = 60.0


@dataclass(frozen=True, slots=True)
class Told:
    """Which limits the recipe states: those are kept as they are."""

    requests_per_minute: bool
    concurrency: bool


class Adapter:
    """Moves a limiter's rate and concurrency by what the teacher answers.

    On a drop the new rate is nine tenths of what the teacher has just shown to allow: the answers of the last seconds
    over those seconds and the wait that it asks for. Where nothing passes after that, it is probed twice as rarely each
    time, and the time until something passes counts into the rate.
    """

    def __init__(self, limiter: Limiter, told: Told, headers: RateHeaders) -> None:
        """An adapter that holds what is told, but never resizes it."""
        self._limiter = limiter
        self._told = told
        self._headers = headers
        self._ceiling = math.inf  # requests per minute, from headers
        self._passed = Recent(limiter.clock.now())
        self._dropped_at = self._dropped_first_at = -math.inf
        self._rate_before = math.inf
        self._climbed_at = limiter.clock.now()
        self._drops = 0  # in a row, with nothing passing in between

    def answered(self, headers: Mapping[str, str], *, sent_at: float) -> None:
        """An answer came: climb, and read what the headers say of the limits."""
        now = self._limiter.clock.now()
        self._passed.add(now)
        self._obey(self._headers.read(headers), now)
        if sent_at > self._dropped_at:
            if self._drops > 1:
                short, long = self._shown(SHORT_S, self._dropped_first_at, now), self._shown(LONG_S, now, now)
                self._set_rate(DROP * min(self._rate_before, max(short, long)))
            self._drops = 0
            self._climb(now)

    def throttled(self, headers: Mapping[str, str], *, after_s: float | None, sent_at: float) -> None:
        """A 429 or its like came: nobody sends before the time it names, and limits that are not told drop.

        Requests that were on their way when the first of them was refused are one drop, not many.
        """
        now = self._limiter.clock.now()
        self._obey(self._headers.read(headers), now)
        self._limiter.requests.hold_until(now + (after_s or 0.0))
        if sent_at <= self._dropped_at:
            return
        self._dropped_at = self._climbed_at = now
        self._drops += 1
        if self._drops == 1:
            self._first_drop(now, after_s or 0.0)
        else:
            self._probe(now, after_s or 0.0)

    def _first_drop(self, now: float, after_s: float) -> None:
        self._dropped_first_at = now
        self._rate_before = self._limiter.requests.per_minute
        shown = min(self._shown(seconds, now, now + after_s) for seconds in (SHORT_S, LONG_S))
        self._set_rate(DROP * min(self._rate_before, shown))
        slots = self._limiter.slots
        if not self._told.concurrency:
            slots.resize(max(1, int(slots.size * DROP)))

    def _probe(self, now: float, after_s: float) -> None:
        probe_s = max(after_s, min(LONGEST_PROBE_S, 2.0 ** (self._drops - 3)))
        self._limiter.requests.hold_until(now + probe_s)
        self._set_rate(60.0 / probe_s)

    def _shown(self, seconds: int, until: float, resumed: float) -> float:
        """Answers per minute in the `seconds` before `until`, the wait until `resumed` included."""
        answers, span_s = self._passed.count(seconds, until)
        return 60.0 * max(answers, 1) / max(span_s + resumed - until, 1e-3)

    def _climb(self, now: float) -> None:
        since_drop_s = min(now - self._dropped_at, 1e6)
        share = CLIMB_PER_S * (1 + (since_drop_s / CLIMB_DOUBLES_AFTER_S) ** 2)
        passed_s, self._climbed_at = now - self._climbed_at, now
        self._set_rate(self._limiter.requests.per_minute * (1 + min(share, MOST_CLIMB_PER_S) * passed_s))
        slots = self._limiter.slots
        if not self._told.concurrency and 2 * slots.in_use >= slots.size < MOST_CONCURRENCY:
            slots.resize(slots.size + 1)

    def _set_rate(self, per_minute: float) -> None:
        if not self._told.requests_per_minute:
            self._limiter.requests.per_minute = max(1.0, min(per_minute, self._ceiling))

    def _obey(self, said: Remaining, now: float) -> None:
        if said.requests_per_minute:
            self._ceiling = said.requests_per_minute
            self._set_rate(self._limiter.requests.per_minute)
        if said.spent_for_s:
            self._limiter.requests.hold_until(now + said.spent_for_s)


class Recent:
    """Counts events of the last LONG_S seconds, in bins of a second."""

    def __init__(self, began: float) -> None:
        """Nothing happened before `began` (seconds)."""
        self._began = began
        self._bins: deque[tuple[int, int]] = deque(maxlen=2 * LONG_S)  # (second, events)

    def add(self, now: float) -> None:
        """One event."""
        second = int(now)
        events = self._bins.pop()[1] if self._bins and self._bins[-1][0] == second else 0
        self._bins.append((second, events + 1))

    def count(self, seconds: int, until: float) -> tuple[int, float]:
        """(events, span in seconds) of the last full `seconds` before `until` and the current one."""
        first = int(until) - seconds
        events = sum(events for second, events in self._bins if first <= second <= until)
        return events, until - max(first, self._began)
