"""Axes: round ticks, linear or logarithmic places, and fewer points where there are too many to draw."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Point = tuple[float, float]

MOST_POINTS = 500
"""More than a screen has columns for; the rest only makes the file heavy."""
LOG_FROM = 50.0
"""A logarithmic axis where the largest value is so many times the smallest: a linear one would lay the rest flat."""
LARGEST = 1e100
"""Of a value that is drawn: with it the arithmetic of an axis stays finite."""
SAME = 1e-9
"""Values nearer than this share of their size have no distance to draw."""
_TICKS = 5
_FEW_DECADES = 2


@dataclass(frozen=True, slots=True)
class Scale:
    """Values in [low, high] → places in [start, end] (units of the drawing)."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def place(self, value: float) -> float:
        """Where a value is drawn, kept within the axis."""
        low, high = self._warp(self.low), self._warp(self.high)
        share = (self._warp(max(value, self.low)) - low) / (high - low) if high > low else 0.5
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """A handful of round values within the axis."""
        return _decades(self.low, self.high) if self.log else _round_values(self.low, self.high)

    def _warp(self, value: float) -> float:
        return math.log10(value) if self.log else value


def fit(values: Sequence[float], start: float, end: float, *, from_zero: bool = False, may_log: bool = False) -> Scale:
    """The axis that shows all values, of which there is at least one and each is finite."""
    low, high = min(values), max(values)
    if may_log and low > 0 and high / low >= LOG_FROM:
        return Scale(low, high, start, end, log=True)
    if from_zero:
        low, high = min(0.0, low), max(0.0, high)
    if high - low <= SAME * max(abs(low), abs(high), SAME):
        room = abs(low) / 2 if abs(low) > SAME else 1.0
        low, high = (low, high + room) if from_zero and low >= 0 else (low - room, high + room)
    return Scale(low, high, start, end)


def finite(points: Iterable[tuple[Any, Any]]) -> list[Point]:
    """The points that have a place: two numbers, neither NaN nor infinite."""
    return [(x, y) for x, y in points if _has_place(x) and _has_place(y)]


def _has_place(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= LARGEST


def thin(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most so many points that keep every peak and dip: of each stretch the lowest and the highest, in order."""
    if len(points) <= most:
        return list(points)
    kept: list[Point] = []
    stretches = most // 2
    for number in range(stretches):
        stretch = points[number * len(points) // stretches : (number + 1) * len(points) // stretches]
        ends = {min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])}
        kept += sorted(ends)
    return kept


def _round_values(low: float, high: float) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _decades(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1, 2, 5) if last - first <= _FEW_DECADES else (1,)
    every = max(1, (last - first) // _TICKS)
    values = [factor * 10.0**power for power in range(first, last + 1, every) for factor in factors]
    return [value for value in values if low * 0.999 <= value <= high * 1.001]
