"""Events → statements: what a group commit writes."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, UpdateBase, bindparam, select, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert

from harvester.store.dictionaries import packing_of
from harvester.store.events import Event, Judged, Known, Lost, Replied, Reported, Unanswered
from harvester.store.packing import REPLIES
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


class _Many:
    """A statement for many rows, compiled once: SQLAlchemy's handling of a row's values costs more than the write."""

    def __init__(self, statement: UpdateBase, *names: str) -> None:
        """A statement whose rows are given as tuples of the values of `names`."""
        compiled = statement.compile(dialect=sqlite.dialect())
        self._sql = str(compiled)
        self._order = [names.index(name) for name in compiled.positiontup or ()]

    def run(self, connection: Connection, rows: Sequence[tuple[object, ...]]) -> int:
        """Write the rows; returns how many of them changed something."""
        ordered = [tuple(row[place] for place in self._order) for row in rows]
        return connection.exec_driver_sql(self._sql, ordered, {"preserve_rowcount": True}).rowcount


_REPLY = (
    "request_id", "teacher_id", "run_id", "raw", "sha256", "cost_nusd", "received_at", "other_model", "lacks_logprobs",
)  # fmt: skip
_TOTAL = ("run_id", "teacher", "answered_nusd", "lost_nusd")
_OUTCOME = ("id", "rules", "accepted", "drop_reason", "score", "vote", "checks")
_spend, _judge = insert(spending), insert(outcomes)
_ADD_REPLIES = _Many(insert(replies).on_conflict_do_nothing(), *_REPLY)  # the first one stays
_SPEND = _Many(
    _spend.on_conflict_do_update(
        index_elements=["run_id", "teacher"],
        set_={name: spending.c[name] + _spend.excluded[name] for name in ("answered_nusd", "lost_nusd")},
    ),
    *_TOTAL,
)
_JUDGE = _Many(
    _judge.on_conflict_do_update(index_elements=["id"], set_={name: _judge.excluded[name] for name in _OUTCOME[1:]}),
    *_OUTCOME,
)
_SET_STATES = _Many(
    update(requests)
    .where(requests.c.id == bindparam("request"))
    .values(state=bindparam("to_state"), reason=bindparam("why"), attempts=requests.c.attempts + bindparam("tried")),
    "request", "to_state", "why", "tried",
)  # fmt: skip


def _write_replied(connection: Connection, events: Sequence[Replied]) -> None:
    now, packing = utc_now(), packing_of(connection)
    added = _ADD_REPLIES.run(
        connection,
        [
            (
                event.request_id,
                event.teacher_id,
                event.run_id,
                packing.packed(event.raw, REPLIES),
                hashlib.sha256(event.raw).digest(),
                event.cost_nusd,
                now,
                event.other_model,
                event.lacks_logprobs or None,
            )
            for event in events
        ],
    )
    kept = events if added == len(events) else _kept(connection, events, now)
    stored = {id(event) for event in kept}  # the others were paid for too, though nothing is stored for them
    cost = [(event.cost_nusd, 0) if id(event) in stored else (0, event.cost_nusd) for event in events]
    _add_up(connection, [(event.run_id, event.teacher, *nusd) for event, nusd in zip(events, cost, strict=True)])
    _SET_STATES.run(connection, [(event.request_id, ANSWERED, None, event.attempts) for event in events])


def _kept(connection: Connection, events: Sequence[Replied], now: str) -> Sequence[Replied]:
    """Which of the events' replies were stored, by the time that this group alone has."""
    first = {event.request_id: event for event in reversed(events)}
    query = select(replies.c.request_id).where(replies.c.request_id.in_(first), replies.c.received_at == now)
    return [first[request_id] for request_id in connection.execute(query).scalars()]


def _add_up(connection: Connection, amounts: Sequence[tuple[int, str, int, int]]) -> None:
    """Add (run, teacher, answered, lost) in nano-dollars to the running totals."""
    totals: defaultdict[tuple[int, str], list[int]] = defaultdict(lambda: [0, 0])
    for run_id, teacher, answered_nusd, lost_nusd in amounts:
        totals[run_id, teacher][0] += answered_nusd
        totals[run_id, teacher][1] += lost_nusd
    _SPEND.run(connection, [(*key, *nusd) for key, nusd in totals.items()])


def _write_unanswered(connection: Connection, events: Sequence[Unanswered]) -> None:
    states = [
        (event.request_id, EXHAUSTED if event.again else FAILED, event.reason, event.attempts) for event in events
    ]
    _SET_STATES.run(connection, states)


def _write_lost(connection: Connection, events: Sequence[Lost]) -> None:
    _add_up(connection, [(event.run_id, event.teacher, 0, event.cost_nusd) for event in events])


def _write_reported(connection: Connection, events: Sequence[Reported]) -> None:
    last = {event.run_id: event.progress for event in events}
    for run_id, progress in last.items():
        connection.execute(update(runs).where(runs.c.id == run_id).values(progress=as_text(progress)))


def _write_judged(connection: Connection, events: Sequence[Judged]) -> None:
    found = [
        (event.row, event.rules, said.accepted, said.drop_reason, said.score, said.vote, _checks(event))
        for event in events
        for said in [event.outcome]
    ]
    _JUDGE.run(connection, found)


def _checks(event: Judged) -> str | None:
    return as_text([asdict(check) for check in event.outcome.checks]) if event.keep_checks else None


_WRITE: dict[type, Callable[[Connection, Sequence[Any]], None]] = {
    Replied: _write_replied,
    Unanswered: _write_unanswered,
    Known: lambda *_: None,  # written when it came to its end
    Lost: _write_lost,
    Reported: _write_reported,
    Judged: _write_judged,
}
