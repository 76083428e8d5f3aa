"""How fast a running total grows: over the last minute, from what it was now and then."""

from collections import deque
from dataclasses import dataclass

SPAN_S = 60.0
LEAST_S = 1.0
"""A shorter span says nothing of a rate."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Of one teacher, since a run began."""

    sent: int = 0  # attempts
    ended: int = 0  # requests that were answered or given up
    tokens: int = 0  # of prompts and answers


class Pace:
    """Remembers totals for a minute; what it takes grows with how often it is told, not with what was asked."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._noted: deque[tuple[float, Totals]] = deque()

    def note(self, now_s: float, totals: Totals) -> None:
        """Totals at a moment (seconds of any clock that only goes forward)."""
        self._noted.append((now_s, totals))
        while len(self._noted) > 1 and self._noted[1][0] <= now_s - SPAN_S:
            self._noted.popleft()  # the next one is old enough to count from

    @property
    def per_minute(self) -> dict[str, float]:
        """`sent`, `ended` and `tokens` a minute; nothing while the span is too short."""
        if not self._noted:
            return {}
        (began_s, before), (now_s, now) = self._noted[0], self._noted[-1]
        if now_s - began_s < LEAST_S:
            return {}
        return {
            name: round(60.0 * (getattr(now, name) - getattr(before, name)) / (now_s - began_s), 1)
            for name in Totals.__slots__
        }
