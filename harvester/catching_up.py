"""What a run did not get to: stored replies that nobody judged, or other rules did, and what they lead to."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

from harvester.flowing import Flow
from harvester.judging import Rules, is_unrenderable
from harvester.records import Outcome, unanswered
from harvester.store import StoredRow, StoreReader, StoreWriter
from harvester.store.events import Judged
from harvester.store.nodes import ENDED

PAGE = 500
T = TypeVar("T")


def catch_up(store: StoreWriter, flow: Flow) -> None:
    """Judge every stored reply of a plan that its rules have not judged, and plan what that leads to."""
    if not flow.leads_on:
        rejudge(store, flow.plan_id, flow.rules)
    elif store.plan_rules(flow.plan_id) == flow.rules.digests.whole:
        while _follow_leftovers(store, flow):
            pass
    else:
        _follow_everything(store, flow)
    store.plan_judged(flow.plan_id, flow.rules.digests.whole)


def rejudge(store: StoreWriter, plan_id: int, rules: Rules, *, everything: bool = False) -> int:
    """Judge the stored replies of a plan that these rules have not judged, or all; returns how many rows that were.

    It plans nothing: what they lead to is left to `catch_up`.

    Raises:
        BadInput: a row is of a step that the recipe lacks.
    """
    count = 0
    with StoreReader.open(store.path) as reader:
        for page in _pages(reader.answered(plan_id) if everything else reader.unjudged(plan_id, rules.digests)):
            for row in page:
                rules.require_step(row.step)
            # What could not be rendered stays so until a plan is followed anew.
            judged = [row for row in page if not (row.rules == rules.of_step(row.step) and _is_unrenderable(row))]
            store.apply_judged(plan_id, rules.digests.whole, _judged(judged, rules, again=everything))
            count += len(page)
    return count


def _follow_leftovers(store: StoreWriter, flow: Flow) -> bool:
    """Judge what a kill left unjudged, with what it leads to; whether there was any."""
    found, rules = False, flow.rules
    with StoreReader.open(store.path) as reader:
        unjudged = reader.unjudged(flow.plan_id, rules.digests)
        left = chain(unjudged, reader.unjudged_children(flow.plan_id, rules.digests))
        for page in _pages(left):
            found = True
            judged = _judged(page, rules)
            outcomes = {event.row: event.outcome for event in judged}
            store.apply_judged(
                flow.plan_id,
                rules.digests.whole,
                judged,
                lambda connection: flow.pass_on(connection, outcomes),  # noqa: B023 - at once
            )
    return found


def _follow_everything(store: StoreWriter, flow: Flow) -> None:
    """Follow a plan for the first time, step by step: a step's rows are all judged before one of them is chosen."""
    for name in flow.recipe.by_name:
        with StoreReader.open(store.path) as reader:
            for page in _pages(reader.of_step(flow.plan_id, name)):
                stale = [row for row in page if row.reply and _is_stale(row, flow.rules)]
                judged = _judged(stale, flow.rules, again=True)
                store.apply_judged(flow.plan_id, flow.rules.digests.whole, judged)
        with StoreReader.open(store.path) as reader:
            for page in _pages(reader.of_step(flow.plan_id, name)):
                outcomes = {row.id: outcome for row in page if (outcome := _known(row))}
                store.apply_with([], lambda connection: flow.pass_on(connection, outcomes))  # noqa: B023 - at once


def _is_stale(row: StoredRow, rules: Rules) -> bool:
    """Whether other rules judged a row, or templates that have changed since could not be rendered with it."""
    return row.rules != rules.of_step(row.step) or row.outcome is None or _is_unrenderable(row)


def _is_unrenderable(row: StoredRow) -> bool:
    return row.outcome is not None and is_unrenderable(row.outcome)


def _known(row: StoredRow) -> Outcome | None:
    """What became of a row: its judgement, or that it has no answer for good; None where it waits."""
    if row.reply is None:
        return unanswered(row.state, row.reason) if row.state in ENDED else None
    return row.outcome


def _judged(rows: Sequence[StoredRow], rules: Rules, *, again: bool = False) -> list[Judged]:
    def judge(row: StoredRow) -> Judged:
        return Judged(row.id, rules.of_step(row.step), rules.judge_row(row, again=again)[1], rules.is_slow(row.step))

    if not any(rules.is_slow(row.step) for row in rows):
        return [judge(row) for row in rows]
    with ThreadPoolExecutor() as pool:
        return list(pool.map(judge, rows))


def _pages(rows: Iterable[T]) -> Iterator[list[T]]:
    left = iter(rows)
    while page := list(islice(left, PAGE)):
        yield page
