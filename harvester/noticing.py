"""What is noted of every reply that is kept, whichever way it came: another model's name, logprobs that are missing."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from harvester.logprobs import lacking
from harvester.parsing import other_model
from harvester.progress import Progress
from harvester.recipe import Teacher
from harvester.records import Json

LACKING = (
    "a reply came without the logprobs that were asked for; such answers are kept, counted by `harvester status`, and"
    " of no use for soft labels"
)
MOST_REASONS, OTHER_REASONS = 50, "other reasons (`harvester status` has them all)"
"""A teacher that puts a number into every message must not make the progress as long as the run."""
OTHER_MODELS = "other models (`harvester status` has them all)"
NONE, OTHER = "none", "other"
_FINISH_REASON = re.compile(r"[A-Za-z0-9_.-]{1,40}")
"""Anything else is none, and could be the text of an answer."""
_KIND = re.compile(
    r"HTTP \d{3}|timeout|unreachable|connection lost|truncated or empty reply|"
    r"reply (?:is not a JSON object|is not JSON|without choices|broken off by the teacher|larger than)|"
    r"batch (?:completed|expired|cancelled|failed)"
)


@dataclass(frozen=True, slots=True)
class Noticed:
    """Of one reply."""

    other_model: str | None
    lacks_logprobs: bool
    finish_reason: str


def notice(asked: bytes, reply: Json, teacher: Teacher) -> Noticed:
    """Look at a decoded reply to a request's body."""
    return Noticed(
        other_model=None if teacher.embedded else other_model(reply, teacher.model),
        lacks_logprobs=lacking(asked, reply),
        finish_reason=_finish_reason(reply),
    )


def _finish_reason(reply: Json) -> str:
    try:
        said = reply["choices"][0]["finish_reason"]
    except (LookupError, TypeError):
        said = None
    if said is None:
        return NONE
    return said if isinstance(said, str) and _FINISH_REASON.fullmatch(said) else OTHER


def tell(noticed: Noticed, name: str, teacher: Teacher, progress: Progress, say: Callable[[str], None]) -> str | None:
    """Count what was noticed, and say it the first time; returns why a strict teacher is asked no further."""
    _count(progress.finish_reasons, noticed.finish_reason, OTHER)
    if noticed.lacks_logprobs:
        progress.lacking_logprobs += 1
        if progress.lacking_logprobs == 1:  # while there is still something to save
            say(f"{name}: {LACKING}")
    other = noticed.other_model
    if other is None:
        return None
    _count(progress.other_models, other, OTHER_MODELS)
    if not teacher.strict:
        return None
    return f"{name}: a reply names the model {other!r}, not {teacher.model!r}, and {name}.strict is true"


def count_reason(progress: Progress, reason: str) -> None:
    """Count why a request has no answer."""
    _count(progress.reasons, reason, OTHER_REASONS)


def _count(counts: dict[str, int], what: str, other: str) -> None:
    """Count one more; once there are many kinds, new ones are counted together."""
    if what not in counts and len(counts) >= MOST_REASONS:
        what = other
    counts[what] = counts.get(what, 0) + 1


def kind_of(reason: str) -> str:
    """A reason without what the teacher said of it, such as `HTTP 400`: one of a few, and no text of a prompt."""
    found = _KIND.match(reason)
    return found.group() if found else OTHER
