"""What a collecting run writes down; the journal commits these in groups."""

from dataclasses import dataclass

from harvester.records import Outcome


@dataclass(frozen=True, slots=True)
class HandedOut:
    """Every open request up to this id may have been sent from now on."""

    run_id: int
    request_id: int


@dataclass(frozen=True, slots=True)
class Replied:
    """A reply as it came, before anything looked inside it."""

    request_id: int
    teacher_id: int
    run_id: int
    raw: bytes
    cost_nusd: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A request that got no answer; `again` says whether the next run tries it."""

    request_id: int
    reason: str
    attempts: int
    again: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """Money of an attempt that was sent and perhaps billed, and whose answer never came."""

    run_id: int
    cost_nusd: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What the rules made of one row."""

    row_id: str
    rules: str
    outcome: Outcome


Event = HandedOut | Replied | Unanswered | Lost | Judged
