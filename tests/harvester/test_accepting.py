"""How many rows are accepted is known after every commit, and what it costs to know does not grow with the store."""

import json
import random
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from harvester.catching_up import catch_up
from harvester.collecting import teacher_terms
from harvester.exporting import export
from harvester.flowing import Flow
from harvester.following import Following
from harvester.planning import ensure_plan
from harvester.progress import Progress
from harvester.recipe import Recipe
from harvester.records import Outcome
from harvester.store import StoreReader, StoreWriter
from harvester.store.accepted import accepted_rows
from harvester.store.events import Event, Judged, Replied, Unanswered
from harvester.store.writing import Pending

DRAFT = {"name": "draft", "samples": 3, "verify": {"regex": {"pattern": "good"}}}
MENDED = {"output": {"json_schema": {"type": "object"}}}
GRADE = {"name": "grade", "kind": "judge", "min_score": 2}
RECIPES: dict[str, list[dict[str, Any]]] = {
    "every row": [{**DRAFT, "select": "all"}],
    "one of a group": [DRAFT],
    "mended": [{**DRAFT, **MENDED}],
    "a judge selects": [{**DRAFT, **MENDED}, {**GRADE, "select": "best_of_n"}],
    "a judge of a judge selects": [DRAFT, GRADE, {**GRADE, "name": "again", "select": "best_of_n"}],
    "revised": [DRAFT, {**GRADE, "select": "best_of_n"}, {"name": "final", "kind": "revise", "samples": 2}],
    "new seeds": [{"name": "think", "kind": "expand"}, DRAFT],
    "one of a group revised": [DRAFT, {"name": "final", "kind": "revise"}],
    "followed": [DRAFT, GRADE | {"select": "best_of_n"}, {"name": "more", "kind": "expand", "prompt": "title.j2"}],
}
VERDICTS = ['{"reason": "", "score": 1}', '{"reason": "", "score": 3}', '{"reason": "", "score": 4}', "fine"]
ANSWERS = {
    "draft": ["good", '{"title": "good"}', '{"title": "good"}', "bad"],
    "grade": VERDICTS,
    "again": VERDICTS,
    "final": ["done"],
    "think": ['["a", "b"]', "[]"],
    "more": ['["a", "b"]'],
}


def write_recipe(folder: Path, steps: Sequence[dict[str, Any]], seeds: int) -> Recipe:
    whole = [{"prompt": f"{step['name']}.j2", **step} for step in steps]
    sampling = {"seed": 0, "max_tokens": 5}
    teacher = {"base_url": "http://localhost:9/v1", "local": True, "model": "m", "sampling": sampling}
    recipe = {"name": "r", "teacher": teacher, "seeds": {"path": "s.jsonl"}, "steps": whole}
    recipe["terms"] = {"teacher": {"license": "Apache-2.0"}}
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    for step in steps:
        (folder / f"{step['name']}.j2").write_text(f"{step['name']} {{{{ text }}}} {{{{ steps | default('') }}}}")
    (folder / "title.j2").write_text("more {{ steps.draft.json.title }}")
    (folder / "s.jsonl").write_text("".join(json.dumps({"text": f"seed {number}"}) + "\n" for number in range(seeds)))
    return Recipe.load(folder)


class Run:
    """A run without a network: commits as the journal makes them, of answers that chance gives."""

    def __init__(self, store: StoreWriter, recipe: Recipe, chance: random.Random) -> None:
        self.store, self.recipe, self.chance = store, recipe, chance
        self.plan_id = ensure_plan(store, recipe)
        flow = Flow.of(recipe, self.plan_id)
        catch_up(store, flow)
        self.rules, self.run_id = flow.rules, store.begin_run(self.plan_id, "r", None)
        self.teacher_id = store.teacher_id(name="teacher", provider="p", identity="i", terms=self.terms(), price=None)
        self.progress = Progress("r", 0)
        self.following = Following(flow, StoreReader(store.engine, store.path), self.progress, count_accepted=True)
        store.apply_with([], self.following.recount)

    def terms(self) -> dict[str, Any]:
        return asdict(teacher_terms(self.recipe)["teacher"])

    def recount(self) -> int:
        with self.store.engine.begin() as connection:
            return accepted_rows(connection, self.recipe, self.plan_id, self.rules.digests)

    def commit(self, events: Sequence[Event]) -> None:
        """One group, and those that follow from it."""
        while events:
            group = list(events)
            within = self.store.apply_with(
                group,
                lambda connection: self.following.within(connection, group),  # noqa: B023 - called at once
                first=lambda connection: self.following.before(connection, group),  # noqa: B023 - called at once
            )
            assert self.progress.accepted_rows == self.recount()
            events = [*within.events, *self.following.after(group).events]

    def answer(self, pending: Pending) -> Event:
        if self.chance.random() < 0.1:
            return Unanswered(pending.request_id, "no", 1, again=self.chance.random() < 0.7)
        step = json.loads(pending.body)["messages"][0]["content"].split()[0]
        return self.reply(pending, self.chance.choice(ANSWERS[step]))

    def reply(self, pending: Pending, text: str) -> Replied:
        message = {"role": "assistant", "content": text}
        reply = {"choices": [{"message": message, "finish_reason": "stop"}]}
        return Replied(pending.request_id, self.teacher_id, self.run_id, json.dumps(reply).encode(), 0, 1)

    def pending(self) -> list[Pending]:
        return self.store.pending(self.plan_id, after=0, limit=100)

    def ask(self, groups: int) -> None:
        """Answer what is open, some at a time."""
        while groups and (pending := self.pending()):
            some = self.chance.sample(pending, min(len(pending), self.chance.randint(1, 5)))
            self.commit(list(map(self.answer, some)))
            groups -= 1

    def rows(self) -> list[Any]:
        with self.store.engine.begin() as connection:
            query = "SELECT rows.id, step, accepted FROM rows JOIN outcomes USING (id) WHERE plan_id = ?"
            return list(connection.exec_driver_sql(query, (self.plan_id,)))

    def judge_otherwise(self) -> None:
        """Take some rows back, and accept others after all."""
        rows = self.rows()
        changed = self.chance.sample(rows, min(3, len(rows)))
        outcomes = [Outcome(accepted=not accepted, drop_reason=None) for _, _, accepted in changed]
        self.commit(
            [Judged(row, self.rules.of_step(step), one) for (row, step, _), one in zip(changed, outcomes, strict=True)]
        )

    def exported(self) -> int:
        """The rows of train of a dataset that is written now."""
        export(self.recipe, self.store.path.parent / "out")
        return sum(pq.read_table(path).num_rows for path in (self.store.path.parent / "out/data").glob("train*"))


SEEDS = 3


@pytest.mark.parametrize("steps", RECIPES.values(), ids=RECIPES)
@settings(max_examples=4, deadline=None, phases=[Phase.generate])  # to shrink a failing one takes minutes
@given(st.randoms(use_true_random=False))
def test_the_running_count_is_the_recount(steps: list[dict[str, Any]], chance: random.Random) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        recipe = write_recipe(folder, steps, SEEDS)
        with StoreWriter.open(folder / "harvest.db") as store:
            Run(store, recipe, chance).ask(groups=3)
            for _ in range(2):  # what ran out of attempts is asked again: groups are decided anew
                resumed = Run(store, recipe, chance)
                resumed.ask(groups=1000)
            assert resumed.recount() == resumed.exported()
            resumed.judge_otherwise()
            # One more sample of each: groups are decided again, and rows of the plan before come back into this one.
            more = write_recipe(folder, [{**one, "samples": 4} if one is steps[0] else one for one in steps], SEEDS)
            edited = Run(store, more, chance)
            edited.ask(groups=1000)
            edited.judge_otherwise()


def test_a_failure_that_decides_a_group_against_an_accepted_row_is_counted(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, RECIPES["followed"], 1)
    with StoreWriter.open(tmp_path / "harvest.db") as store:
        run = Run(store, recipe, random.Random(0))  # noqa: S311 - no secret
        first, *others = run.pending()
        run.commit([run.reply(first, "good, and without a title")])
        (grade,) = (one for one in run.pending() if one not in others)
        run.commit([run.reply(grade, VERDICTS[1])])
        assert run.progress.accepted_rows == 1  # what is asked about it next cannot be rendered, but it waits
        run.commit([Unanswered(one.request_id, "no", 1, again=False) for one in others])
        assert run.progress.accepted_rows == 0


def steps_of_a_commit(folder: Path, steps: Sequence[dict[str, Any]], seeds: int) -> int:
    """What SQLite does to commit one more verdict where `seeds` seeds are all accepted."""
    with StoreWriter.open(folder / f"{seeds}.db") as store:
        run = Run(store, write_recipe(folder, steps, seeds), random.Random(0))  # noqa: S311 - no secret
        with store.engine.begin() as connection:
            connection.exec_driver_sql(
                "INSERT INTO outcomes (id, rules, accepted) SELECT id, ?, 1 FROM rows", (run.rules.of_step("draft"),)
            )
            raw: Any = connection.connection.driver_connection
        run.progress.accepted_rows = run.recount()
        done = [0]

        def count() -> int:
            done[0] += 1
            return 0

        events = [Judged(1, run.rules.of_step("draft"), Outcome(accepted=False, drop_reason="x"))]
        raw.set_progress_handler(count, 1)
        store.apply_with(
            events,
            lambda connection: run.following.within(connection, events),
            first=lambda connection: run.following.before(connection, events),
        )
        raw.set_progress_handler(None, 1)
        assert run.progress.accepted_rows == run.recount()
    return done[0]


@pytest.mark.parametrize("name", ["every row", "one of a group", "one of a group revised"])
def test_what_it_costs_does_not_grow_with_the_store(tmp_path: Path, name: str) -> None:
    few, many = (steps_of_a_commit(tmp_path, RECIPES[name], seeds) for seeds in (50, 1000))
    assert many < few * 1.1
