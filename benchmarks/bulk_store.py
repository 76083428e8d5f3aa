"""A recipe whose store is filled in bulk, by the store's own statements: what exporting and looking are measured on.

python benchmarks/bulk_store.py FOLDER ROWS [--judged]
"""

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, select

from harvester.collecting import teacher_terms
from harvester.judging import Rules
from harvester.prompting import Requester, teacher_identity
from harvester.recipe import Recipe, Step
from harvester.records import Answer, Asked, Origin, Outcome, Seed, digest
from harvester.seeds import ID_LENGTH
from harvester.store import StoreWriter
from harvester.store.applying import write
from harvester.store.events import Judged, Replied
from harvester.store.plans import Planned, add_rows
from harvester.store.schema import rows

CHUNK = 5_000
SAMPLES = 4
REJECTED, HELD_OUT = 10, 50  # every so many-th
WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("n", "r", "s", "lt", "nd", "")]
NOTES = [" ".join(random.Random(number).choices(WORDS, k=90)) for number in range(500)]  # noqa: S311
SCHEMA = {
    "type": "object",
    "properties": {
        "order": {"type": "integer"},
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"part": {"type": "string"}, "count": {"type": "integer", "minimum": 1}},
                "required": ["part", "count"],
            },
        },
        "note": {"type": "string"},
    },
    "required": ["order", "items", "note"],
}


def main() -> None:
    """Write the recipe and fill its store."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("rows", type=int, help="answers; a judge's rows come on top")
    parser.add_argument("--judged", action="store_true", help="four samples of every seed, and a judge of each")
    options = parser.parse_args()
    write_recipe(options.folder, judged=options.judged)
    recipe = Recipe.load(options.folder)
    with StoreWriter.open(options.folder / "harvest.db") as store:
        plan_id = store.add_plan(recipe.name, "f", recipe.text, ())
        run_id = store.begin_run(plan_id, recipe.name, None)
        Filling(store, recipe, plan_id, run_id).fill(options.rows // recipe.steps[0].samples)
        store.end_run(run_id, outcome="done", seconds=1)


def write_recipe(folder: Path, *, judged: bool) -> None:
    """A recipe to load; its seeds are made here, not read from its file."""
    folder.mkdir(parents=True)
    (folder / "seeds.jsonl").write_text('{"text": "an order"}\n', encoding="utf-8")
    (folder / "answer.j2").write_text("{{ text }}", encoding="utf-8")
    (folder / "grade.j2").write_text("Grade: {{ steps.answer.text }}", encoding="utf-8")
    answer = {"name": "answer", "prompt": "answer.j2", "verify": {"json_schema": SCHEMA}}
    grade = {"name": "grade", "kind": "judge", "prompt": "grade.j2", "min_score": 2, "select": "best_of_n"}
    sampling = {"temperature": 0.7, "max_tokens": 512}
    recipe = {
        "name": "bench",
        "teacher": {"base_url": "http://127.0.0.1:9/v1", "model": "toy-1", "local": True, "sampling": sampling},
        "seeds": {"path": "seeds.jsonl", "license": "CC0-1.0"},
        "steps": [answer | {"samples": SAMPLES}, grade] if judged else [answer],
        "terms": {"teacher": {"license": "Apache-2.0"}},
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")  # JSON is YAML


class Filling:
    """Rows with their replies and outcomes, as one run leaves them."""

    def __init__(self, store: StoreWriter, recipe: Recipe, plan_id: int, run_id: int) -> None:
        """Of a recipe's plan in a store."""
        teacher = recipe.teacher
        self._store, self._recipe, self._run_id = store, recipe, run_id
        self._plan = Planned(plan_id, recipe.name)
        self._requester = Requester(teacher)
        self._rules = Rules(recipe)
        self._teacher_id = store.teacher_id(
            name="teacher",
            provider=teacher.profile.id,
            identity=teacher_identity(teacher),
            terms=asdict(teacher_terms(recipe)["teacher"]),
            price=None,
        )

    def fill(self, seeds: int) -> None:
        """Plan, answer and judge everything about that many seeds."""
        answer, *judges = self._recipe.steps
        numbers = iter(range(seeds))
        while chunk := list(islice(numbers, CHUNK)):
            with self._store.engine.begin() as connection:
                self._ask(connection, [(seed(n), Origin(n), prompt(n)) for n in chunk], answer)
                made = self._answer(connection, chunk, answer)
                for judge in judges:
                    about = [(seed(n), Origin(n, row, row_id), f"Grade: {row}") for n, row, row_id in made]
                    self._ask(connection, about, judge)
                    self._answer(connection, chunk, judge)

    def _ask(self, connection: Connection, about: Sequence[tuple[Seed, Origin, str]], step: Step) -> None:
        def asked(text: str) -> list[Asked]:
            messages = [{"role": "user", "content": text}]
            return [Asked(step.name, "teacher", [self._requester.request(messages, n) for n in range(step.samples)])]

        add_rows(connection, self._plan, ((its, origin, asked(text)) for its, origin, text in about))

    def _answer(self, connection: Connection, chunk: Sequence[int], step: Step) -> list[tuple[int, int, str]]:
        """Answer and judge the step's rows of these positions; returns (position, number, row_id) of what goes on."""
        query = select(rows.c.id, rows.c.row_id, rows.c.request_id, rows.c.position, rows.c.sample)
        query = query.where(rows.c.position.between(chunk[0], chunk[-1]), rows.c.plan_id == self._plan.plan_id)
        found = connection.execute(query.where(rows.c.step == step.name).order_by(rows.c.id)).all()
        text = verdict if step.judges else answer
        answers = [text(row.position, row.id) for row in found]
        outcomes = [self._outcome(step, one) for one in answers]
        run = self._teacher_id, self._run_id
        replied = [
            Replied(row.request_id, *run, reply(row.id, one), 1_000, 1) for row, one in zip(found, answers, strict=True)
        ]
        rules = self._rules.of_step(step.name)
        judged = [Judged(row.id, rules, one) for row, one in zip(found, outcomes, strict=True)]
        write(connection, [*replied, *judged])
        return [(row.position, row.id, row.row_id) for row, one in zip(found, outcomes, strict=True) if one.accepted]

    def _outcome(self, step: Step, text: str) -> Outcome:
        if step.judges:
            return self._rules.judge(step.name, Answer("ok", text), {})
        accepted = '"note"' in text  # what the schema asks for; it takes five times as long to ask it
        return Outcome(accepted=accepted, drop_reason=None if accepted else "verify:json_schema")


def seed(number: int) -> Seed:
    """About 250 bytes, different for every number."""
    data = {"text": prompt(number)}
    return Seed(digest(data)[:ID_LENGTH], "test" if number % HELD_OUT == 0 else "train", data)


def prompt(number: int) -> str:
    """What is asked about a seed."""
    return f"Order {number}: " + "read the following order and say which parts are wanted, how many, and when. " * 3


def answer(number: int, row: int) -> str:
    """JSON of about 700 bytes; one in ten lacks a field."""
    items = [{"part": WORDS[(row + part) % len(WORDS)], "count": 1 + part} for part in range(3)]
    note = {} if row % REJECTED == 0 else {"note": f"{row} {NOTES[row % len(NOTES)]}"}
    return json.dumps({"order": number, "items": items, **note})


def verdict(_number: int, row: int) -> str:
    """A judge's."""
    return json.dumps({"score": 1 + row % 5, "reason": NOTES[row % len(NOTES)][:80]})


def reply(number: int, text: str) -> bytes:
    """A completion of that text."""
    message = {"role": "assistant", "content": text, "refusal": None}
    usage = {"prompt_tokens": 60, "completion_tokens": 320, "total_tokens": 380}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return json.dumps({"id": f"chatcmpl-{number}", "model": "toy-1", "choices": [choice], "usage": usage}).encode()


if __name__ == "__main__":
    main()
