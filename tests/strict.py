"""A provider's strict limiters: sliding windows and token buckets, and what a refusal says of them."""

import json
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, Protocol

Headers = dict[str, str]
SayWhen = Callable[[float], Headers]
"""Seconds until the refused amount would pass → headers that name them."""


class Meter(Protocol):
    """Admits amounts (1 for a request, or a number of tokens); `per_minute` and `left` are for its headers."""

    per_minute: float

    def wait_s(self, now: float, amount: float) -> float:
        """Seconds until `amount` would pass; 0 where it may pass now."""

    def take(self, now: float, amount: float) -> None:
        """Count an amount."""

    def left(self, now: float) -> float:
        """What may still pass now."""


class Window:
    """At most `amount` in any span of `seconds`."""

    def __init__(self, amount: float, seconds: float) -> None:
        self.amount, self.seconds = amount, seconds
        self.per_minute = amount * 60 / seconds
        self._taken: deque[tuple[float, float]] = deque()  # (when, how much)

    def wait_s(self, now: float, amount: float) -> float:
        too_much = amount - self.left(now)
        if too_much <= 0:
            return 0.0
        for at, taken in self._taken:
            too_much -= taken
            if too_much <= 0:
                return at + self.seconds - now
        return self.seconds  # more than the window ever lets pass

    def take(self, now: float, amount: float) -> None:
        self._taken.append((now, amount))

    def left(self, now: float) -> float:
        while self._taken and self._taken[0][0] <= now - self.seconds:
            self._taken.popleft()
        return self.amount - sum(taken for _, taken in self._taken)


class Bucket:
    """Holds at most `capacity`, and is refilled by `per_s`."""

    def __init__(self, capacity: float, per_s: float) -> None:
        self.capacity, self.per_s = capacity, per_s
        self.per_minute = 60 * per_s
        self._has, self._at = capacity, -math.inf

    def wait_s(self, now: float, amount: float) -> float:
        return max(0.0, amount - self.left(now)) / self.per_s

    def take(self, now: float, amount: float) -> None:
        self._has = self.left(now) - amount

    def left(self, now: float) -> float:
        if now > self._at:
            self._has = min(self.capacity, self._has + (now - max(self._at, -1e9)) * self.per_s)
            self._at = now
        return self._has


def in_seconds(wait_s: float) -> Headers:
    return {"Retry-After": str(math.ceil(wait_s))}


def in_milliseconds(wait_s: float) -> Headers:
    return {"retry-after-ms": str(math.ceil(wait_s * 1000))}


def as_date(wait_s: float) -> Headers:
    return {"Retry-After": formatdate(math.ceil(time.time() + wait_s), usegmt=True)}


def silent(_wait_s: float) -> Headers:
    return {}


@dataclass
class Strict:
    """Refuses with 429 what passes any of its meters, and remembers every refusal.

    `tokens_of` says what a request counts for when it comes; a provider that counts `max_tokens` in can be had so.
    """

    requests: Meter | None = None
    tokens: Meter | None = None
    tokens_of: Callable[[dict[str, Any]], float] = lambda _body: 15
    say_when: SayWhen = in_milliseconds
    tell_limits: bool = False  # x-ratelimit-* headers on every reply
    count_refused: bool = False  # a refused request counts too, as OpenAI does it
    passed_at: list[float] = field(default_factory=list)  # seconds, monotonic
    refused_at: list[float] = field(default_factory=list)

    def refusal(self, body: dict[str, Any], now: float) -> tuple[int, Headers, bytes] | None:
        """A 429, or None where the request may pass."""
        kinds = self._kinds(body)
        wait_s = max((meter.wait_s(now, amount) for meter, amount in kinds.values()), default=0.0)
        if not wait_s or self.count_refused:
            for meter, amount in kinds.values():
                meter.take(now, amount)
        if not wait_s:
            self.passed_at.append(now)
            return None
        self.refused_at.append(now)
        said = json.dumps({"error": {"message": "slow down", "type": "rate_limit", "code": "rate_limit_exceeded"}})
        return 429, self.headers(body, now) | self.say_when(wait_s), said.encode()

    def headers(self, body: dict[str, Any], now: float) -> Headers:
        """What the provider tells of its limits, in OpenAI's names; nothing unless `tell_limits`."""
        told: Headers = {}
        for kind, (meter, amount) in (self._kinds(body) if self.tell_limits else {}).items():
            told[f"x-ratelimit-limit-{kind}"] = str(int(meter.per_minute))
            told[f"x-ratelimit-remaining-{kind}"] = str(max(0, int(meter.left(now))))
            told[f"x-ratelimit-reset-{kind}"] = f"{math.ceil(meter.wait_s(now, amount) * 1000)}ms"
        return told

    def _kinds(self, body: dict[str, Any]) -> dict[str, tuple[Meter, float]]:
        kinds = {"requests": (self.requests, 1.0), "tokens": (self.tokens, self.tokens_of(body))}
        return {kind: (meter, amount) for kind, (meter, amount) in kinds.items() if meter}
