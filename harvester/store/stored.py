"""A row of a plan with all that belongs to it: how it is queried, and what the database's values say."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, select

from harvester.errors import StoreUnusable
from harvester.records import Check, Json, Outcome, decoded
from harvester.store.dictionaries import packing_of
from harvester.store.packing import Packing
from harvester.store.paging import chunks
from harvester.store.schema import curated, outcomes, replies, requests, rows, seeds, teachers


class StoredReply(NamedTuple):
    """A reply as it was stored, with the teacher as it was that day."""

    raw: bytes
    cost_nusd: int
    received_at: str
    teacher: str
    provider: str
    terms: Mapping[str, Json]


class StoredRow(NamedTuple):
    """One row of a plan: its seed and sample, its request, and its reply where there is one.

    A tuple is made in a third of the time that a frozen dataclass takes.
    """

    id: int  # in the table of rows
    row_id: str
    request_key: str
    request_body: bytes
    state: str
    reason: str | None
    step: str
    split: str
    position: int
    seed_id: str
    seed: Mapping[str, Json]
    seed_text: str  # canonical JSON of it, as the store has it
    reference: Json
    sample: int
    reply: StoredReply | None
    parent: int | None  # the row that it was made from
    part: int  # which of that one's new seeds
    rules: str | None  # digest of the rules behind `outcome`
    outcome: Outcome | None
    looked_at: bool = False  # by the recipe's newest curation, which would write it or dropped it
    curated: str | None = None  # why it dropped it


PackedRow = tuple[Any, ...]
"""A row of a plan with all that belongs to it as the database holds it, in the order of `rows_query`'s columns."""
POSITION, BODY, RAW = 4, 12, 15
"""Where in it are: its seed's position, its request's body, its reply."""


@contextmanager
def legible(path: Path) -> Iterator[None]:
    """Says of the store at `path` what is neither JSON nor text any more, or of another type.

    Raises:
        StoreUnusable: something is.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        raise StoreUnusable(f"{path}: damaged ({error}); `harvester verify` lists all of it") from error


def in_order(plan_id: int) -> Select[tuple[object, ...]]:
    """A plan's rows, in the order of its seeds and samples."""
    return rows_query().where(rows.c.plan_id == plan_id).order_by(rows.c.position, rows.c.sample, rows.c.id)


def rows_query(*, answered: bool = False) -> Select[tuple[object, ...]]:
    """Rows of all plans; with `answered`, those that have a reply."""
    return (
        select(
            rows.c.id, rows.c.row_id, rows.c.step, rows.c.split, rows.c.position, rows.c.sample, rows.c.seed_id,
            rows.c.parent, rows.c.part,
            seeds.c.data, rows.c.reference,
            requests.c.key, requests.c.body, requests.c.state, requests.c.reason,
            replies.c.raw, replies.c.cost_nusd, replies.c.received_at,
            teachers.c.name, teachers.c.provider, teachers.c.terms,
            outcomes.c.rules, outcomes.c.accepted, outcomes.c.drop_reason, outcomes.c.score, outcomes.c.vote,
            outcomes.c.checks,
            curated.c.id, curated.c.reason,
        )
        .join(seeds, seeds.c.seed_id == rows.c.seed_id)
        .join(requests, requests.c.id == rows.c.request_id)
        .join(replies, replies.c.request_id == requests.c.id, isouter=not answered)
        .outerjoin(teachers, teachers.c.id == replies.c.teacher_id)
        .outerjoin(outcomes, outcomes.c.id == rows.c.id)
        .outerjoin(curated, curated.c.id == rows.c.id)
    )  # fmt: skip


def raw_replies(connection: Connection, request_ids: Iterable[int]) -> dict[int, bytes]:
    """Request → its reply's bytes, for those that have one."""
    query, packing = select(replies.c.request_id, replies.c.raw), packing_of(connection)
    return {
        one: packing.unpacked(raw, f"the reply to request {one}")
        for some in chunks(request_ids)
        for one, raw in connection.execute(query.where(replies.c.request_id.in_(some)))
    }


@lru_cache(maxsize=100)
def _terms(text: str) -> Mapping[str, Json]:
    """A teacher's terms, which all of its replies share."""
    terms: Mapping[str, Json] = json.loads(text)
    return terms


@lru_cache(maxsize=100, typed=True)
def _outcome(
    accepted: int, drop_reason: str | None, checks: str | None, score: float | None, vote: str | None
) -> Outcome:
    """An outcome, which most rows have in common with others."""
    known = tuple(Check(**check) for check in json.loads(checks)) if checks else ()
    return Outcome(bool(accepted), drop_reason, known, score, vote)


def stored_row(row: PackedRow, packing: Packing) -> StoredRow:
    """What a row of a database that packs so says.

    Raises:
        StoreUnusable: its request or its reply is damaged.
        ValueError, TypeError: something else of it is (`legible`).
    """
    # By position: looking up the columns of a million rows by their names would take as long as reading them.
    (
        number, row_id, step, split, position, sample, seed_id, parent, part, data, reference,
        key, body, state, reason,
        raw, cost_nusd, received_at, teacher, provider, terms,
        rules, accepted, drop_reason, score, vote, checks,
        looked_at, against,
    ) = row  # fmt: skip
    reply = outcome = None
    if raw is not None:
        raw = packing.unpacked(raw, f"the reply to request {key}")
        reply = StoredReply(raw, cost_nusd, received_at, teacher, provider, _terms(terms))
    if rules is not None:
        outcome = _outcome(accepted, drop_reason, checks, score, vote)
    body = packing.unpacked(body, f"request {key}")
    reference = None if reference is None else decoded(reference)
    # In the order of the fields: naming them would take longer than making the tuple.
    return StoredRow(
        number, row_id, key, body, state, reason, step, split, position, seed_id, decoded(data), data, reference,
        sample, reply, parent, part, rules, outcome, looked_at is not None, against,
    )  # fmt: skip
