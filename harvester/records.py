"""Frozen value types that travel between the rooms. Nothing here imports anything heavy."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Any
"""A value that `json.loads` can return."""

Message = dict[str, str]
"""`{"role": ..., "content": ...}`, as chat completion APIs take it."""


# Made once: `json.dumps` would make one for every call that asks for anything but its defaults.
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
_decode = json.JSONDecoder().raw_decode


def canonical(value: Json) -> bytes:
    """Canonical JSON: sorted keys, no spaces, UTF-8, so that equal values have equal bytes and hashes."""
    return _encode(value).encode()


def decoded(data: str | bytes) -> Json:
    """What `json.loads` makes of it, or raises; in half of the time where the value is all there is."""
    if isinstance(data, bytes):
        if not data.startswith(b'{"'):  # of an encoding that is to be guessed
            return json.loads(data)
        data = data.decode("utf-8", "surrogatepass")
    try:
        value, end = _decode(data)
    except ValueError:
        end = -1
    return value if end == len(data) else json.loads(data)


def half_pair(text: str) -> bool:
    """Whether a text holds half of a surrogate pair: JSON can spell it, no encoding takes it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def printable(text: str) -> str:
    """A text of somebody else's on one line, without what would move a terminal's cursor or change its colours."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def count_of(number: int, noun: str) -> str:
    """A number of things, such as `1 row` or `2 rows`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def size_of(number: float) -> str:
    """A number of bytes in SI's units, with digits left however small it is: `12 kB`, `3.4 MB`, `1.2 GB`."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number / 1e3:.0f} kB"


def digest(value: Json) -> str:
    """SHA-256 (hex) over the canonical JSON of a value."""
    return hashlib.sha256(canonical(value)).hexdigest()


@dataclass(frozen=True, slots=True)
class Seed:
    """One line of a seed file; `data` is what templates and verifiers see."""

    seed_id: str
    split: str  # train | dev | test
    data: Mapping[str, Json]
    reference: Json = None


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a teacher; `key` is its identity (design 001, content key)."""

    key: str
    body: bytes  # canonical JSON, sent as it is


@dataclass(frozen=True, slots=True)
class Asked:
    """One row's questions for one step: a request per sample."""

    step: str
    teacher: str  # the recipe's name for it
    requests: Sequence[Request]
    first_sample: int = 0


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row comes from: its first ancestor's place in the plan, and the row that it was made from, if any."""

    position: int
    parent: int | None = None  # the row's number in the store
    parent_row_id: str = ""
    part: int = 0  # which of the new seeds that its parent gave


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of a reply, as its `usage` says; None where the API said nothing."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Check:
    """What one verifier said about one answer."""

    name: str
    params: Mapping[str, Json]
    passed: bool
    reason: str | None = None  # why it failed; None when it passed


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored reply, read: everything that follows from its bytes alone."""

    status: str  # ok | length | content_filter | refusal | empty | unreadable
    text: str = ""
    reasoning: str | None = None
    finish_reason: str | None = None
    model: str | None = None
    usage: Usage = Usage()
    logprobs: Json = None  # the API's own list, one entry per token


@dataclass(frozen=True, slots=True)
class RuleDigests:
    """What tells by which rules answers were judged: of all of a recipe's together, and of each step's own."""

    whole: str
    steps: frozenset[str]  # no two steps share one


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one row: its answer's status and checks, and why it is not for training."""

    accepted: bool
    drop_reason: str | None
    checks: tuple[Check, ...] = ()
    score: float | None = None  # a judge's
    vote: str | None = None  # equal answers have equal ones


def unanswered(state: str, reason: str | None) -> Outcome:
    """What becomes of a row whose request has no answer."""
    return Outcome(accepted=False, drop_reason=f"failed: {reason or state}")
