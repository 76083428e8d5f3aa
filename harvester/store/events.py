"""What a collecting run writes down; the journal commits these in groups."""

from dataclasses import dataclass

from harvester.records import Json, Outcome

TEACHER = "teacher"
"""The name under which money is counted where a recipe has one teacher."""


@dataclass(frozen=True, slots=True)
class Replied:
    """A reply as it came, before anything looked inside it."""

    request_id: int
    teacher_id: int
    run_id: int
    raw: bytes
    cost_nusd: int
    attempts: int
    teacher: str = TEACHER
    other_model: str | None = None  # that it names, where it is not the one that was asked
    lacks_logprobs: bool = False  # though they were asked for
    decoded: Json = None  # what the bytes spell, where that is known; not stored


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A request that got no answer; `again` says whether the next run tries it."""

    request_id: int
    reason: str
    attempts: int
    again: bool


@dataclass(frozen=True, slots=True)
class Known:
    """A row that follows from another, and whose request came to its end before it was planned."""

    request_id: int
    row: int  # id in the table of rows


@dataclass(frozen=True, slots=True)
class Lost:
    """Money of an attempt that was sent and perhaps billed, and whose answer never came."""

    run_id: int
    cost_nusd: int
    teacher: str = TEACHER


@dataclass(frozen=True, slots=True)
class Reported:
    """How far a run is, for those who look at it from outside."""

    run_id: int
    progress: Json


@dataclass(frozen=True, slots=True)
class Judged:
    """What the rules made of one row."""

    row: int  # id in the table of rows
    rules: str  # digest of its step's rules
    outcome: Outcome
    keep_checks: bool = False  # they took long to make


Event = Replied | Unanswered | Known | Lost | Reported | Judged
