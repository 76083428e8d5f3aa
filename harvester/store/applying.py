"""Events → statements: what a group commit writes."""

import hashlib
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects.sqlite import insert

from harvester.store.events import Event, Judged, Lost, Replied, Reported, Unanswered
from harvester.store.plans import as_text
from harvester.store.schema import ANSWERED, EXHAUSTED, FAILED, outcomes, replies, requests, runs, spending


def utc_now() -> str:
    """The wall clock, ISO 8601: for the record only, nothing is paced by it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def write(connection: Connection, events: Sequence[Event]) -> None:
    """Write a group of events into the transaction under way."""
    groups: defaultdict[type, list[Event]] = defaultdict(list)
    for event in events:
        groups[type(event)].append(event)
    for kind, group in groups.items():
        _WRITE[kind](connection, group)


def _write_replied(connection: Connection, events: Sequence[Replied]) -> None:
    now = utc_now()
    values = [
        {
            "request_id": event.request_id,
            "teacher_id": event.teacher_id,
            "run_id": event.run_id,
            "raw": zlib.compress(event.raw, 1),
            "sha256": hashlib.sha256(event.raw).digest(),
            "cost_nusd": event.cost_nusd,
            "received_at": now,
            "other_model": event.other_model,
        }
        for event in events
    ]
    added = connection.execute(_ADD_REPLY, values)
    kept = events if added.rowcount == len(events) else _kept(connection, events, now)
    stored = {id(event) for event in kept}  # the others were paid for too, though nothing is stored for them
    cost = [(event.cost_nusd, 0) if id(event) in stored else (0, event.cost_nusd) for event in events]
    _spend(connection, [(event.run_id, event.teacher, *nusd) for event, nusd in zip(events, cost, strict=True)])
    _set_states(connection, [(event.request_id, ANSWERED, None, event.attempts) for event in events])


def _kept(connection: Connection, events: Sequence[Replied], now: str) -> Sequence[Replied]:
    """Which of the events' replies were stored, by the time that this group alone has."""
    first = {event.request_id: event for event in reversed(events)}
    query = select(replies.c.request_id).where(replies.c.request_id.in_(first), replies.c.received_at == now)
    return [first[request_id] for request_id in connection.execute(query).scalars()]


def _spend(connection: Connection, amounts: Sequence[tuple[int, str, int, int]]) -> None:
    """Add (run, teacher, answered, lost) in nano-dollars to the running totals."""
    totals: defaultdict[tuple[int, str], list[int]] = defaultdict(lambda: [0, 0])
    for run_id, teacher, answered_nusd, lost_nusd in amounts:
        totals[run_id, teacher][0] += answered_nusd
        totals[run_id, teacher][1] += lost_nusd
    values = [
        {"run_id": run_id, "teacher": teacher, "answered_nusd": answered, "lost_nusd": lost}
        for (run_id, teacher), (answered, lost) in totals.items()
    ]
    connection.execute(_SPEND, values)


def _write_unanswered(connection: Connection, events: Sequence[Unanswered]) -> None:
    _set_states(
        connection,
        [(event.request_id, EXHAUSTED if event.again else FAILED, event.reason, event.attempts) for event in events],
    )


def _set_states(connection: Connection, states: Sequence[tuple[int, str, str | None, int]]) -> None:
    names = ("request", "to_state", "why", "tried")
    connection.execute(_SET_STATE, [dict(zip(names, state, strict=True)) for state in states])


def _write_lost(connection: Connection, events: Sequence[Lost]) -> None:
    _spend(connection, [(event.run_id, event.teacher, 0, event.cost_nusd) for event in events])


def _write_reported(connection: Connection, events: Sequence[Reported]) -> None:
    last = {event.run_id: event.progress for event in events}
    for run_id, progress in last.items():
        connection.execute(update(runs).where(runs.c.id == run_id).values(progress=as_text(progress)))


def _write_judged(connection: Connection, events: Sequence[Judged]) -> None:
    names = ("id", "rules", "accepted", "drop_reason")
    found = [(event.row, event.rules, event.outcome.accepted, event.outcome.drop_reason) for event in events]
    connection.execute(_JUDGE, [dict(zip(names, one, strict=True)) for one in found])


# Made once: making them costs as much as running them.
_ADD_REPLY = insert(replies).on_conflict_do_nothing().execution_options(preserve_rowcount=True)  # the first one stays
_SPEND = insert(spending)
_SPEND = _SPEND.on_conflict_do_update(
    index_elements=["run_id", "teacher"],
    set_={
        "answered_nusd": spending.c.answered_nusd + _SPEND.excluded.answered_nusd,
        "lost_nusd": spending.c.lost_nusd + _SPEND.excluded.lost_nusd,
    },
)
_JUDGE = insert(outcomes)
_JUDGE = _JUDGE.on_conflict_do_update(
    index_elements=["id"], set_={name: _JUDGE.excluded[name] for name in ("rules", "accepted", "drop_reason")}
)
_SET_STATE = (
    update(requests)
    .where(requests.c.id == bindparam("request"))
    .values(state=bindparam("to_state"), reason=bindparam("why"), attempts=requests.c.attempts + bindparam("tried"))
)

_WRITE: dict[type, Callable[[Connection, Sequence[Any]], None]] = {
    Replied: _write_replied,
    Unanswered: _write_unanswered,
    Lost: _write_lost,
    Reported: _write_reported,
    Judged: _write_judged,
}
