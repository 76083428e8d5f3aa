"""A teacher that only fails: nobody sends but one probe at a time, twice as rarely each time, until it answers."""

import math

from harvester.limiter import SAFETY, Limiter
from harvester.saying import Say

SILENT_ROUNDS = 5
"""Failures one after the other, with no answer in between, that open the circuit; or so many beyond the permits."""
LONGEST_PROBE_S = 60.0
ALONE_PER_MINUTE = 1e-3
"""Nobody follows a probe: what becomes of it is known long before."""
PATIENCE_S = 900.0
"""A teacher that gives no answer for so long, though it is probed, is given up for this run."""


class Circuit:
    """Opens when requests fail for reasons that say nothing of limits, and nothing is answered in between."""

    def __init__(self, limiter: Limiter, say: Say) -> None:
        """A closed circuit; `say` hears when it opens and closes."""
        self._limiter, self._say = limiter, say
        self._failures = self._rounds = self._probes = 0  # since the last answer
        self._failed_at = -math.inf
        self._answered_at = limiter.clock.now()

    @property
    def is_open(self) -> bool:
        """Whether only probes go out."""
        return self._rounds >= SILENT_ROUNDS or self._failures >= self._limiter.slots.size + SILENT_ROUNDS

    @property
    def silent_too_long(self) -> bool:
        """Whether the last answer, or the end of a pause that was asked for, is further away than a run's patience."""
        since = max(self._answered_at, self._limiter.requests.held_until)
        return self._limiter.clock.now() - since > PATIENCE_S

    def failed(self, *, sent_at: float, reason: str = "") -> None:
        """A request failed; those that were on their way when another one failed are of one round with it."""
        was_open = self.is_open
        new_round = sent_at > self._failed_at
        self._failures += 1
        if new_round:
            self._failed_at = self._limiter.clock.now()
            self._rounds += 1
        if self.is_open and not was_open:
            why = f" ({reason})" if reason else ""
            line = f"teacher: nothing but failures{why}; trying one request at a time until it answers"
            self._say(line, event="circuit_opened")
        if self.is_open and (new_round or not was_open):
            probe(self._limiter, self._probes, 0.0)
            self._probes += 1

    def answered(self) -> bool:
        """An answer came; whether the circuit was open until now."""
        was_open = self.is_open
        self._failures = self._rounds = self._probes = 0
        self._answered_at = self._limiter.clock.now()
        if was_open:
            self._say("teacher: answers again", event="circuit_closed")
        return was_open


def probe(limiter: Limiter, number: int, after_s: float) -> None:
    """Let one request through in so many seconds: 0.5, 1, 2, … up to a minute by the number; rarer where that is told.

    No second one, until what becomes of the first says how to go on.
    """
    told_s = 60.0 / (limiter.told_per_minute * SAFETY)
    probe_s = max(after_s, told_s, min(LONGEST_PROBE_S, 2.0 ** (number - 1)))
    limiter.requests.per_minute = ALONE_PER_MINUTE
    limiter.requests.next_at(limiter.clock.now() + probe_s)
