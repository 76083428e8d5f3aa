"""What is noted of every reply that is kept, whichever way it came: another model's name, logprobs that are missing."""

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


@dataclass(frozen=True, slots=True)
class Noticed:
    """Of one reply."""

    other_model: str | None
    lacks_logprobs: bool


def notice(asked: bytes, reply: Json, teacher: Teacher) -> Noticed:
    """Look at a decoded reply to a request's body."""
    return Noticed(None if teacher.embedded else other_model(reply, teacher.model), lacking(asked, reply))


def tell(noticed: Noticed, name: str, teacher: Teacher, progress: Progress, say: Callable[[str], None]) -> str | None:
    """Count what was noticed, and say it the first time; returns why a strict teacher is asked no further."""
    if noticed.lacks_logprobs:
        progress.lacking_logprobs += 1
        if progress.lacking_logprobs == 1:  # while there is still something to save
            say(f"{name}: {LACKING}")
    other = noticed.other_model
    if other is None:
        return None
    progress.other_models[other] = progress.other_models.get(other, 0) + 1
    if not teacher.strict:
        return None
    return f"{name}: a reply names the model {other!r}, not {teacher.model!r}, and {name}.strict is true"


def count_reason(progress: Progress, reason: str) -> None:
    """Count why a request has no answer."""
    reasons = progress.reasons
    if reason not in reasons and len(reasons) >= MOST_REASONS:
        reason = OTHER_REASONS
    reasons[reason] = reasons.get(reason, 0) + 1
