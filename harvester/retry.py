"""Reply or exception → decision. The one place that says what is tried again, and when."""

import asyncio
import email.utils
import math
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import aiohttp
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from harvester.addresses import AddressRefused
from harvester.limiter import LONGEST_WAIT_S
from harvester.parsing import decode
from harvester.profiles import replied_at
from harvester.records import printable
from harvester.secret_forms import without_secrets
from harvester.streaming import BROKEN_OFF

MAX_BACKOFF_S = 60.0
FIRST_BACKOFF_S = 0.5
THROTTLED_ATTEMPT = 0.2
"""How much of an attempt a refusal by a limit is: the request is not at fault, but it may be larger than the limit."""
FLOOR_S = 0.25
"""The least wait before a retry, whatever Retry-After says: a negative or past one is nonsense."""
RETRIED_STATUSES = frozenset({408, 409, 425, 429}) | frozenset(range(500, 600))
THROTTLED_STATUSES = frozenset({429, 529})
QUOTA_CODES = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "insufficient_balance", "exceeded_current_quota_error"}
)


@dataclass(frozen=True, slots=True)
class Received:
    """A whole HTTP reply."""

    status: int
    headers: Mapping[str, str]  # found by their names in lower case
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
    refused: Literal["name", "key"] | None = None  # no such model or path there; a key that is wrong or missing


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to store; `decoded` is what its bytes spell, so that nobody decodes them twice."""

    received: Received
    decoded: dict[str, Any]


Decision = Retry | GiveUp | Reply


class TryAgain(Exception):
    """An attempt that is to be repeated: a signal from the attempt to tenacity, not an error of ours."""

    def __init__(self, decision: Retry) -> None:
        super().__init__(decision.reason)
        self.decision = decision


def decide(outcome: Received | Exception) -> Decision:
    """Classify a reply, or the exception that stands in its place."""
    if isinstance(outcome, Exception):
        return _decide_exception(outcome)
    if 200 <= outcome.status < 300:  # noqa: PLR2004 - HTTP's successes
        return _decide_ok(outcome)
    return _decide_status(outcome.status, outcome)


def _decide_exception(error: Exception) -> Decision:
    """Not sent, or sent and lost: only the latter may be billed."""
    if isinstance(error, AddressRefused):
        return GiveUp(str(error), stops_teacher=True)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Retry("unreachable: no connection in time", unreachable=True)
    if isinstance(error, TimeoutError):
        return Retry("timeout", maybe_billed=True)
    if isinstance(error, BodyTooLarge):
        return GiveUp(str(error), maybe_billed=True)
    if isinstance(error, aiohttp.ClientConnectorError | socket.gaierror):
        return Retry(f"unreachable: {_short(error)}", unreachable=True)
    if isinstance(error, aiohttp.ClientError | OSError | asyncio.IncompleteReadError):
        return Retry(f"connection lost: {_short(error) or type(error).__name__}", maybe_billed=True)
    raise error


class BodyTooLarge(Exception):
    """The reply is larger than any answer can be."""


def _decide_ok(reply: Received) -> Decision:
    try:
        body = decode(reply.body)
    except ValueError:
        return Retry("truncated or empty reply", maybe_billed=True)
    if not isinstance(body, dict):
        return Retry("reply is not a JSON object", maybe_billed=True)
    if body.get("error"):
        decision = _decide_status(_inner_status(body["error"]), reply)
        # A stream that failed may have had text before; an error in one piece is all there was.
        return decision if reply.body.lstrip().startswith(b"{") else replace(decision, maybe_billed=True)
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return Retry("reply without choices", maybe_billed=True)
    finish_reason = choices[0].get("finish_reason")
    if choices[0].get("error") or (isinstance(finish_reason, str) and finish_reason in BROKEN_OFF):
        return Retry("reply broken off by the teacher", maybe_billed=True)
    return Reply(reply, body)


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


def _decide_status(status: int, reply: Received) -> Retry | GiveUp:
    reason = f"HTTP {status}: {error_text(reply.body)}"
    if _refuses_everything(status, reply.body):
        return GiveUp(reason, stops_teacher=True, refused="key" if status == 401 else None)  # noqa: PLR2004 - no login
    if status in RETRIED_STATUSES:
        after_s = retry_after_s(reply.headers)
        if after_s is not None and after_s > LONGEST_WAIT_S:
            return GiveUp(f"{reason}; it asks to wait {after_s:.0f} s", stops_teacher=True)
        return Retry(reason, after_s, throttled=status in THROTTLED_STATUSES)
    if 300 <= status < 400:  # noqa: PLR2004 - HTTP's redirects
        return GiveUp(f"HTTP {status}: redirects are refused; put the final address into base_url", stops_teacher=True)
    if status == 404:  # noqa: PLR2004 - no such path or model: true of every request
        return GiveUp(reason, stops_teacher=True, refused="name")
    return GiveUp(reason)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
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
    return max(FLOOR_S, moment.timestamp() - replied_at(headers).timestamp())


def _at_least_floor(value: str, divisor: int) -> float:
    try:
        seconds = float(value) / divisor
    except ValueError:
        return FLOOR_S
    return FLOOR_S if math.isnan(seconds) else max(FLOOR_S, seconds)


def _error_codes(body: bytes) -> set[str]:
    """What kind of error it says it is: under `code`, or under `type`."""
    error = _error_of(body)
    kinds = (error.get("code"), error.get("type")) if isinstance(error, dict) else ()
    return {kind for kind in kinds if isinstance(kind, str)}


def _refuses_everything(status: int, body: bytes) -> bool:
    if status == 403:  # noqa: PLR2004 - forbidden
        return not _moderated(body)
    return status in (401, 402) or bool(_error_codes(body) & QUOTA_CODES)


def _moderated(body: bytes) -> bool:
    """Whether a moderator refused this one request: OpenRouter says which of its categories, or what it found.

    Source: https://openrouter.ai/docs/errors (moderation errors).
    """
    error = _error_of(body)
    metadata = error.get("metadata") if isinstance(error, dict) else None
    return isinstance(metadata, dict) and not {"reasons", "flagged_input"}.isdisjoint(metadata)


def _error_of(body: bytes) -> Any:
    try:
        decoded = decode(body)
    except ValueError:
        return None
    return decoded.get("error") if isinstance(decoded, dict) else None


def error_text(body: bytes, limit: int = 200) -> str:
    """What an error body says, on one line of at most `limit` characters; no key, a gateway's own neither."""
    error = _error_of(body)
    text = error.get("message") if isinstance(error, dict) else error
    if not isinstance(text, str):
        text = body[: 4 * limit].decode("utf-8", "replace")
    text = text.encode("utf-8", "replace").decode()  # JSON can spell half of a surrogate pair, the store cannot hold it
    return printable(without_secrets(text[: 10 * limit]))[:limit] or "no message"


def _short(error: BaseException) -> str:
    return printable(str(error).replace(" ssl:default", ""))[:200]  # said of plain HTTP, too


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
    used = 0.0

    def spent(state: RetryCallState) -> bool:
        nonlocal used
        error = state.outcome.exception() if state.outcome else None
        used += THROTTLED_ATTEMPT if isinstance(error, TryAgain) and error.decision.throttled else 1.0
        return used >= attempts

    return AsyncRetrying(
        retry=retry_if_exception_type(TryAgain),
        stop=spent,
        wait=wait_s,
        sleep=sleep,
        reraise=True,
    )
