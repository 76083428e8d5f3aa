"""Reply or exception → decision. The one place that says what is tried again, and when."""

import asyncio
import email.utils
import json
import math
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

MAX_BACKOFF_S = 60.0
FIRST_BACKOFF_S = 0.5
FLOOR_S = 0.25
"""The least wait before a retry, whatever Retry-After says: a negative or past one is nonsense."""
LONGEST_WAIT_S = 3600.0
"""A longer Retry-After is not waited for by one request: the teacher is given up for this run."""
RETRIED_STATUSES = frozenset({408, 409, 425, 429}) | frozenset(range(500, 600))
THROTTLED_STATUSES = frozenset({429, 529})
QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "insufficient_balance"})


@dataclass(frozen=True, slots=True)
class Received:
    """A whole HTTP reply."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again, after `after_s` if the teacher named a time."""

    reason: str
    after_s: float | None = None
    maybe_billed: bool = False  # it was sent, and the answer, if there was one, is lost
    unreachable: bool = False  # no connection: it was not sent
    throttled: bool = False  # the teacher is there and asks for less


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not try again; where `stops_teacher`, nothing further is sent to it in this run."""

    reason: str
    stops_teacher: bool = False
    maybe_billed: bool = False  # there was an answer, and it is lost


Decision = Retry | GiveUp | None
"""None: the reply is an answer to store."""


class TryAgain(Exception):
    """An attempt that is to be repeated: a signal from the attempt to tenacity, not an error of ours."""

    def __init__(self, decision: Retry) -> None:
        super().__init__(decision.reason)
        self.decision = decision


def decide(outcome: Received | Exception) -> Decision:
    """Classify a reply, or the exception that stands in its place."""
    if isinstance(outcome, Exception):
        return _decide_exception(outcome)
    if outcome.status == 200:  # noqa: PLR2004 - HTTP's own number
        return _decide_ok(outcome)
    return _decide_status(outcome.status, outcome)


def _decide_exception(error: Exception) -> Decision:
    """By `__cause__`: the transport maps a refused connection and a reset after sending to one and the same type."""
    if isinstance(error, TimeoutError):
        return Retry("timeout", maybe_billed=True)
    if isinstance(error, BodyTooLarge):
        return GiveUp(str(error), maybe_billed=True)
    if isinstance(error, httpx.DecodingError):
        return Retry("reply cannot be decoded", maybe_billed=True)
    cause = error.__cause__ if isinstance(error, httpx.HTTPError) and error.__cause__ else error
    if isinstance(cause, aiohttp.ClientConnectorError | socket.gaierror):
        return Retry(f"unreachable: {_short(cause)}", unreachable=True)
    if isinstance(cause, aiohttp.ClientError | httpx.HTTPError | OSError | asyncio.IncompleteReadError):
        return Retry(f"connection lost: {_short(cause) or type(cause).__name__}", maybe_billed=True)
    raise error


class BodyTooLarge(Exception):
    """The reply is larger than any answer can be."""


def _decide_ok(reply: Received) -> Decision:
    try:
        body = json.loads(reply.body)
    except (ValueError, RecursionError):
        return Retry("truncated or empty reply", maybe_billed=True)
    if not isinstance(body, dict):
        return Retry("reply is not a JSON object", maybe_billed=True)
    if body.get("error"):
        return _decide_status(_inner_status(body["error"]), reply)
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return Retry("reply without choices", maybe_billed=True)
    return None


def _inner_status(error: Any) -> int:
    """Status of an error inside a 200: some gateways put HTTP's number into `code`."""
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and code in QUOTA_CODES:
        return 402
    try:
        status = int(code)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return 500
    return status if 400 <= status < 600 else 500  # noqa: PLR2004 - HTTP's error range


def _decide_status(status: int, reply: Received) -> Decision:
    reason = f"HTTP {status}: {error_text(reply.body)}"
    if status in (401, 402, 403) or _error_code(reply.body) in QUOTA_CODES:
        return GiveUp(reason, stops_teacher=True)
    if status in RETRIED_STATUSES:
        after_s = retry_after_s(reply.headers)
        if after_s is not None and after_s > LONGEST_WAIT_S:
            return GiveUp(f"{reason}; it asks to wait {after_s:.0f} s", stops_teacher=True)
        return Retry(reason, after_s, throttled=status in THROTTLED_STATUSES or after_s is not None)
    if 300 <= status < 400:  # noqa: PLR2004 - HTTP's redirects
        return GiveUp(f"HTTP {status}: redirects are refused; put the final address into base_url", stops_teacher=True)
    if status == 404:  # noqa: PLR2004 - no such path or model: true of every request
        return GiveUp(reason, stops_teacher=True)
    return GiveUp(reason)


def retry_after_s(headers: Mapping[str, str], *, now: Callable[[], float] = time.time) -> float | None:
    """Seconds the teacher asks to wait: `retry-after-ms`, or `retry-after` as seconds or a date; None if neither."""
    if "retry-after-ms" in headers:
        return _at_least_floor(headers["retry-after-ms"], 1000)
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return _at_least_floor(value, 1)
    return max(FLOOR_S, moment.timestamp() - now())


def _at_least_floor(value: str, divisor: int) -> float:
    try:
        seconds = float(value) / divisor
    except ValueError:
        return FLOOR_S
    return FLOOR_S if math.isnan(seconds) else max(FLOOR_S, seconds)


def _error_code(body: bytes) -> str | None:
    error = _error_of(body)
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) else None


def _error_of(body: bytes) -> Any:
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return decoded.get("error") if isinstance(decoded, dict) else None


def error_text(body: bytes, limit: int = 200) -> str:
    """What an error body says, on one line of at most `limit` characters."""
    error = _error_of(body)
    text = error.get("message") if isinstance(error, dict) else error
    if not isinstance(text, str):
        text = body[: 4 * limit].decode("utf-8", "replace")
    text = text.encode("utf-8", "replace").decode()  # JSON can spell half of a surrogate pair, the store cannot hold it
    return " ".join(text.split())[:limit] or "no message"


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def wait_s(state: RetryCallState) -> float:
    """Seconds before the next attempt: the teacher's own wish, else exponential backoff with jitter."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, TryAgain) and error.decision.after_s is not None:
        return error.decision.after_s
    ceiling: float = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2**state.attempt_number)
    # Jitter needs no secrecy; spread by the attempt's own clock it also needs no generator to seed.
    spread = 0.5 + (time.monotonic_ns() % 1000) / 2000
    return max(FLOOR_S, ceiling * spread)


def retrying(attempts: int, sleep: Callable[[float], Awaitable[None]]) -> AsyncRetrying:
    """Tenacity's loop; its sleep happens between attempts, when no permit is held."""
    return AsyncRetrying(
        retry=retry_if_exception_type(TryAgain),
        stop=stop_after_attempt(attempts),
        wait=wait_s,
        sleep=sleep,
        reraise=True,
    )
