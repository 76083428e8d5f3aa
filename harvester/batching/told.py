"""What a provider says of a batch."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from harvester.records import printable

if TYPE_CHECKING:
    from openai.types import Batch

MOST_PROBLEMS = 3

EXPIRED, CANCELLING, CANCELLED = "expired", "cancelling", "cancelled"
ENDED = frozenset({"completed", "failed", EXPIRED, CANCELLED})
"""States of a batch in which nothing more is done for it."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a provider says of a batch."""

    batch_id: str
    status: str
    output_file_id: str | None = None
    error_file_id: str | None = None
    total: int = 0
    completed: int = 0
    failed: int = 0
    problem: str = ""  # why it failed as a whole
    age_hours: float | None = None  # by the provider's own clock; None: it does not say


def identified(made: Any) -> str:
    """The id in an answer.

    Raises:
        ValueError: there is none.
    """
    identity = getattr(made, "id", None)
    if not isinstance(identity, str) or not identity:
        raise ValueError("no id")
    return identity


def read(batch: "Batch", now: datetime | None = None) -> Told:
    """What an answer says; whatever it lacks is left at nothing.

    Args:
        batch: the answer.
        now: when it was given, by the clock of who gave it.

    Raises:
        ValueError: it is no batch.
    """
    status = getattr(batch, "status", None)
    if not isinstance(status, str):
        raise ValueError("no status")  # noqa: TRY004 - a reply's fault, as `identified` has it
    counts = batch.request_counts
    problems = [printable(one.message or one.code or "") for one in (batch.errors and batch.errors.data) or []]
    return Told(
        batch_id=identified(batch),
        status=status.lower(),
        output_file_id=batch.output_file_id or None,
        error_file_id=batch.error_file_id or None,
        total=_count(counts and counts.total),
        completed=_count(counts and counts.completed),
        failed=_count(counts and counts.failed),
        problem="; ".join(filter(None, problems[:MOST_PROBLEMS])),
        age_hours=_age_hours(batch.created_at, now),
    )


def _age_hours(created_at: Any, now: datetime | None) -> float | None:
    if now is None or not isinstance(created_at, int) or created_at <= 0:
        return None
    return (now.timestamp() - created_at) / 3600


def _count(said: Any) -> int:
    return said if isinstance(said, int) and said > 0 else 0
