"""What a run did not get to: stored replies that nobody judged, or other rules did, and what they lead to."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

from harvester.flowing import Flow
from harvester.judging import Rules
from harvester.judging import is_unrenderable as _stuck
from harvester.recipe import REPAIR, Recipe
from harvester.records import Outcome
from harvester.store import StoredRow, StoreReader, StoreWriter, trees
from harvester.store.events import Judged

PAGE = 500
T = TypeVar("T")


def catch_up(store: StoreWriter, recipe: Recipe, plan_id: int, rules: Rules) -> None:
    """Judge every stored reply of a plan that these rules have not judged, and plan what that leads to.

    Raises:
        BadInput: a template is wrong.
    """
    flow = Flow.of(recipe, plan_id, rules)
    if not flow.leads_on:
        rejudge(store, plan_id, rules)
        store.plan_judged(plan_id, rules.digest)
        return
    if store.plan_rules(plan_id) == rules.digest:
        while _follow_leftovers(store, flow, rules):
            pass
    else:
        _follow_everything(store, recipe, flow, rules)
    store.plan_judged(plan_id, rules.digest)


def rejudge(store: StoreWriter, plan_id: int, rules: Rules, *, everything: bool = False) -> int:
    """Judge the stored replies of a plan that these rules have not judged, or all; returns how many rows that were.

    It plans nothing: what they lead to is left to `catch_up`.
    """
    count = 0
    with StoreReader.open(store.path) as reader:
        for page in _pages(reader.answered(plan_id) if everything else reader.unjudged(plan_id, rules.digest)):
            # What could not be rendered stays so until a plan is followed anew.
            judged = [row for row in page if row.rules != rules.digest or not row.outcome or not _stuck(row.outcome)]
            store.apply(_judged(judged, rules, again=everything))
            count += len(page)
    return count


def _follow_leftovers(store: StoreWriter, flow: Flow, rules: Rules) -> bool:
    """Judge what a kill left unjudged, with what it leads to; whether there was any."""
    found = False
    with StoreReader.open(store.path) as reader:
        left = chain(reader.unjudged(flow.plan_id, rules.digest), reader.unjudged_children(flow.plan_id, rules.digest))
        for page in _pages(left):
            found = True
            judged = _judged(page, rules)
            outcomes = {event.row: event.outcome for event in judged}
            store.apply_with(judged, lambda connection: flow.pass_on(connection, outcomes))  # noqa: B023 - at once
    return found


def _follow_everything(store: StoreWriter, recipe: Recipe, flow: Flow, rules: Rules) -> None:
    """Follow a plan for the first time, step by step: a step's rows are all judged before one of them is chosen."""
    for step in recipe.steps:
        for name in (step.name, step.name + REPAIR):
            with StoreReader.open(store.path) as reader:
                for page in _pages(reader.of_step(flow.plan_id, name)):
                    stale = [row for row in page if row.reply and _is_stale(row, rules)]
                    store.apply(_judged(stale, rules, again=True))
            with StoreReader.open(store.path) as reader:
                for page in _pages(reader.of_step(flow.plan_id, name)):
                    outcomes = {row.id: outcome for row in page if (outcome := _known(row))}
                    store.apply_with([], lambda connection: flow.pass_on(connection, outcomes))  # noqa: B023 - at once


def _is_stale(row: StoredRow, rules: Rules) -> bool:
    """Whether other rules judged a row, or templates that have changed since could not be rendered with it."""
    return row.rules != rules.digest or row.outcome is None or _stuck(row.outcome)


def _known(row: StoredRow) -> Outcome | None:
    """What became of a row: its judgement, or that it has no answer for good; None where it waits."""
    if row.reply is None:
        ended = row.state in trees.ENDED
        return Outcome(accepted=False, drop_reason=f"failed: {row.reason or row.state}") if ended else None
    return row.outcome


def _judged(rows: Sequence[StoredRow], rules: Rules, *, again: bool = False) -> list[Judged]:
    def judge(row: StoredRow) -> Judged:
        return Judged(row.id, rules.digest, rules.judge_row(row, again=again)[1], rules.is_slow(row.step))

    if not any(rules.is_slow(row.step) for row in rows):
        return [judge(row) for row in rows]
    with ThreadPoolExecutor() as pool:
        return list(pool.map(judge, rows))


def _pages(rows: Iterable[T]) -> Iterator[list[T]]:
    left = iter(rows)
    while page := list(islice(left, PAGE)):
        yield page
