"""What a store holds of a recipe, for `harvester status`."""

from collections import Counter
from pathlib import Path
from typing import Any

from harvester.balance import Balance, balance
from harvester.collecting import default_store, newest_plan
from harvester.judging import Rules
from harvester.parsing import parse
from harvester.pricing import usd
from harvester.recipe import SEEDS, Recipe
from harvester.store import Counts, RunState, StoreReader, batches
from harvester.store.accepted import accepted_rows
from harvester.store.lock import holder
from harvester.store.schema import EXHAUSTED, FAILED, PENDING
from harvester.store.writing import KILLED

LOOKED_AT = 5000
"""Rows that were asked, whose seeds the balance is made of: the newest, so that a million make `status` no slower."""
ANSWERS_LOOKED_AT = 500
IN_BATCHES = "waiting_in_batches"
"""What requests count as that were sent to a provider in a batch which has not been taken in."""


def status(recipe: Recipe, store: Path | None = None) -> dict[str, Any]:
    """Counts by state, split and reason; reads while another process may be collecting.

    Raises:
        StoreUnusable: no store, or nothing in it for this recipe.
    """
    path = store or default_store(recipe)
    with StoreReader.open(path) as reader:
        plan_id = newest_plan(reader, recipe, path)
        counts = reader.counts(plan_id)
        rules = Rules(recipe)
        dataset = None
        if _some_are_left_out(recipe):
            dataset = reader.read(lambda connection: accepted_rows(connection, recipe, plan_id, rules.digests))
        found = _balance(recipe, rules, reader, plan_id)
        rejudged = None if _judged_by_functions(recipe) else reader.count_unjudged(plan_id, rules.digests)
        curation = _curation(recipe, reader, plan_id)
        waiting = reader.read(lambda connection: batches.count_waiting(connection, plan_id))
        now = going_on(reader, recipe, path)
    return {
        "recipe": recipe.name,
        "store": str(path),
        "requests": _told_apart(counts, waiting),
        "splits": _splits(counts),
        "steps": _steps(recipe, counts),
        "dataset": dataset,
        "balance": {name: dict(shares) for name, shares in found.fields.items()},
        "warnings": list(found.warnings),
        "judged_by_other_rules": rejudged,
        "curation": curation,
        "failures": dict(counts.failures),
        "usd": usd(counts.spent_nusd),
        "minutes": counts.minutes,
        "other_models": dict(counts.other_models),
        "lacking_logprobs": counts.lacking_logprobs,
        **now,
    }


def _judged_by_functions(recipe: Recipe) -> bool:
    """Whether Python functions are among the rules: no digest tells whether they are still the same."""
    return any(step.parse or callable(step.verify) for step in recipe.steps)


def ending(recipe: Recipe, store: Path | None = None) -> dict[str, Any]:
    """What a run that came to its end left.

    `waiting_in_batches` are with a provider, `pending` requests nobody asked, `exhausted` ones were given up for now,
    `refused` ones for good; `dropped` counts rows of train and dev.

    Raises:
        StoreUnusable: as `status` does.
    """
    path = store or default_store(recipe)
    with StoreReader.open(path) as reader:
        plan_id = newest_plan(reader, recipe, path)
        counts = reader.counts(plan_id)
        waiting = reader.read(lambda connection: batches.count_waiting(connection, plan_id))
    dropped = Counter[str]()
    for (split, _, reason), number in counts.judged.items():
        if reason is not None and split != "test":
            dropped[reason] += number
    requests = _told_apart(counts, waiting)
    left = {state: requests.get(state, 0) for state in (IN_BATCHES, PENDING, EXHAUSTED)}
    return {**left, "refused": requests.get(FAILED, 0), "dropped": dict(dropped.most_common())}


def _told_apart(counts: Counts, waiting: int) -> dict[str, int]:
    """Requests by state; of those without an answer it is told whether they wait in a batch or for somebody to ask."""
    states = Counter(counts.requests)
    states.update({PENDING: -waiting, IN_BATCHES: waiting})
    return dict(+states)


def _some_are_left_out(recipe: Recipe) -> bool:
    """Whether the dataset has fewer rows than are accepted: of other steps, or not selected."""
    judges = [step for step in recipe.readers(recipe.answer_step.name) if step.judges]
    if len(judges) > 1:  # none has the last word
        return False
    return len(recipe.steps) > 1 or recipe.selects(recipe.last_word) != "all"


def _curation(recipe: Recipe, reader: StoreReader, plan_id: int) -> dict[str, Any] | None:
    """What the newest curation has against rows of the plan, and how many answers it cannot have looked at."""
    found = reader.curation(recipe.name)
    if found is None:
        return None
    newer = reader.answered_since(plan_id, recipe.answer_step.row_names, found.made_at)
    return {"made_at": found.made_at, "dropped": dict(found.dropped), "answered_since": newer}


def _balance(recipe: Recipe, rules: Rules, reader: StoreReader, plan_id: int) -> Balance:
    roots = [step.name for step in recipe.readers(SEEDS)]
    asked, accepted = reader.seeds_of(plan_id, roots, recipe.last_word.row_names, limit=LOOKED_AT)
    said = reader.accepted_replies(plan_id, recipe.answer_step.row_names, limit=ANSWERS_LOOKED_AT)
    answers = (rules.read(recipe.answer_step.name, parse(raw))[0] for raw in said)
    return balance(asked, accepted, (answer.text for answer in answers))


def going_on(reader: StoreReader, recipe: Recipe, path: Path) -> dict[str, Any]:
    """`running`: who writes to the store at `path` now; `last_run`: how the recipe's latest run is or was."""
    writer, run = holder(path), reader.last_run(recipe.name)
    if run and run.ended_at is None and writer is None:
        writer = holder(path)  # it may have begun between the two looks
    return {"running": _running(writer, run), "last_run": run and _last(run, writer)}


def _running(writer: dict[str, Any] | None, run: RunState | None) -> dict[str, Any] | None:
    """Who writes to the store now. Without an open run of the recipe it is at something else: no progress to tell."""
    if writer is None:
        return None
    progress = run.progress if run and run.ended_at is None else None
    return {**{name: writer.get(name) for name in ("pid", "host", "since")}, "progress": progress}


def _last(run: RunState, writer: dict[str, Any] | None) -> dict[str, Any]:
    """The recipe's latest run; one that neither ended nor holds the store was killed."""
    outcome = KILLED if run.ended_at is None and writer is None else run.outcome
    return {
        "id": run.run_id,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "outcome": outcome,
        "progress": run.progress,
    }


def _steps(recipe: Recipe, counts: Counts) -> dict[str, Any]:
    """Rows of train by step, where there are several; a second attempt is a row of its own."""
    steps: dict[str, Any] = {name: {"rows": 0, "accepted": 0, "dropped": {}} for name in recipe.by_name}
    for (step, accepted, reason), number in counts.steps.items():
        if step not in steps:
            continue
        steps[step]["rows"] += number
        if accepted:
            steps[step]["accepted"] += number
        elif accepted is not None:
            steps[step]["dropped"][reason] = number
    return {name: step for name, step in steps.items() if step["rows"]} if len(recipe.steps) > 1 else {}


def _splits(counts: Counts) -> dict[str, Any]:
    splits: dict[str, Any] = {name: {"rows": rows, "accepted": 0, "dropped": {}} for name, rows in counts.rows.items()}
    for (split, accepted, reason), number in counts.judged.items():
        if accepted:
            splits[split]["accepted"] += number
        else:
            splits[split]["dropped"][reason] = number
    return splits
