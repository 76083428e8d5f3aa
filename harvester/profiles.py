"""What differs between providers: read from profiles.yaml, matched by host or named by the recipe."""

import email.utils
import fnmatch
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal

from harvester.yaml_text import packaged

KINDS = ("requests", "tokens")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


@dataclass(frozen=True, slots=True)
class Remaining:
    """What a reply's headers say of the limits; None where they say nothing that can be believed."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    spent_for_s: float | None = None  # a limit is used up and comes back after so many seconds


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """Names of a provider's rate-limit headers, with {kind} for requests or tokens; empty where it sends none."""

    limit: str = ""
    remaining: str = ""
    reset: str = ""

    def read(self, headers: Mapping[str, str]) -> Remaining:
        """The limits in a reply's headers (names in lower case). Missing, zero, negative or nonsense: nothing said."""
        if not self.limit:
            return Remaining()
        limits = [_positive(headers.get(self.limit.format(kind=kind))) for kind in KINDS]
        spent = [
            seconds
            for kind, limit in zip(KINDS, limits, strict=True)
            if limit and headers.get(self.remaining.format(kind=kind), "").strip() == "0"
            and (seconds := seconds_until(headers.get(self.reset.format(kind=kind), ""), replied_at(headers)))
        ]  # fmt: skip
        return Remaining(limits[0], limits[1], max(spent, default=None))


@dataclass(frozen=True, slots=True)
class Profile:
    """One provider."""

    id: str
    hosts: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()  # variables that hold this provider's keys
    headers: RateHeaders = RateHeaders()
    max_tokens: str = "max_tokens"
    logprobs: int = 20  # most tokens listed at a place; 0: none are given
    least_logprobs: int = 0
    logprobs_as_number: bool = False
    samplers: bool = True  # whether it takes top_k and min_p, or may have defaults of the kind
    structured: Literal["json_schema", "json_object"] | None = None
    stream: bool = False
    stream_usage: bool = True


@dataclass(frozen=True, slots=True)
class BatchTerms:
    """What a provider's Batch API takes, and for what price."""

    requests: int = 50_000
    megabytes: int = 200
    window: str = "24h"
    price: float = 1.0  # beside the usual one

    @property
    def window_hours(self) -> float:
        """How long a batch may take."""
        return float(self.window.removesuffix("h"))


@cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = packaged("profiles.yaml")
    return data


@cache
def profiles() -> dict[str, Profile]:
    """Every known provider, by id."""
    return {
        entry["id"]: Profile(
            **{
                **entry,
                "hosts": tuple(entry.get("hosts", ())),
                "keys": tuple(entry.get("keys", ())),
                "headers": RateHeaders(**entry.get("headers", {})),
            }
        )
        for entry in _data()["profiles"]
    }


def profile_of(host: str) -> Profile:
    """The provider behind a host; an unknown one is plain OpenAI protocol under the host's name."""
    host = host.rstrip(".")  # api.openai.com. is the same host
    for profile in profiles().values():
        if is_under(host, profile.hosts):
            return profile
    return Profile(host)


def batch_terms(provider: str, host: str) -> BatchTerms:
    """What the Batch API of a profile's id or of a host takes; of an unknown one what the protocol says."""
    entry = _batch_entry(provider, host)
    return BatchTerms(**{name: value for name, value in entry.items() if name not in ("id", "hosts")})


def has_batches(provider: str, host: str) -> bool:
    """Whether a profile's id or a host is known to have a Batch API of OpenAI's protocol."""
    return bool(_batch_entry(provider, host))


def _batch_entry(provider: str, host: str) -> Mapping[str, Any]:
    for entry in _data()["batch"]:
        if entry.get("id") == provider or is_under(host.rstrip("."), entry.get("hosts", ())):
            found: Mapping[str, Any] = entry
            return found
    return {}


def has_no_logprobs(model: str) -> bool:
    """Whether a model is one whose maker gives no log probabilities, whoever serves it."""
    name = model.lower().rsplit("/", 1)[-1]
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _data()["models-without-logprobs"])


def is_under(host: str, known: Iterable[str]) -> bool:
    """Whether a host (in lower case) is one of the known ones, or a subdomain of one."""
    return any(host == one or host.endswith("." + one) for one in known)


def hosts_of_key(variable: str) -> tuple[str, ...] | None:
    """The hosts that a well-known variable's key may go to, perhaps none; None where nobody is known by the name."""
    for profile in profiles().values():
        if variable in profile.keys:
            return profile.hosts
    hosts = _data()["keys"].get(variable)
    return None if hosts is None else tuple(hosts)


def replied_at(headers: Mapping[str, str]) -> datetime:
    """When a reply was written, by the clock of who wrote it: a date in it counts from there, whatever ours says."""
    try:
        moment = email.utils.parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return datetime.now(UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _positive(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def seconds_until(text: str, now: datetime) -> float | None:
    """Seconds from `12ms`, `6m0s`, plain seconds or an RFC 3339 moment; None for anything else or the past."""
    text = text.strip()
    parts = _DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * _UNITS[unit] for number, unit in parts) or None
    if (seconds := _positive(text)) is not None:
        return seconds
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    until_s = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    return max(0.0, until_s.total_seconds()) or None
