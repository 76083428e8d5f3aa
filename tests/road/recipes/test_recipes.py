"""Every shipped recipe: what it asks, and its whole flow with good answers and with a real small model.

The expected prompts lie in golden/; HARVESTER_WRITE_GOLDEN=1 writes them anew.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from itertools import permutations, product
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from harvester.collecting import collect
from harvester.estimating import estimate
from harvester.exporting import export
from harvester.recipe import Recipe
from harvester.starting import about, init, recipes
from harvester.status import status

GOLDEN = Path(__file__).parent / "golden"
OTHERS = sorted(set(recipes()) - {"extract-orders"})  # which is the demo, and has tests of its own
SEEDS = 3

Body = dict[str, Any]


def said(body: Body) -> str:
    return str(body["messages"][-1]["content"])


def solution(body: Body) -> str:
    """A countdown puzzle's, by trying."""
    numbers, target = re.findall(r"Numbers: (.*)\. Target: (\d+)\.", said(body))[0]
    for order in permutations(map(int, numbers.split(", "))):
        for signs in product("+-*/", repeat=len(order) - 1):
            for grouped in (_leftmost(order, signs), _rightmost(order, signs)):
                text, value = grouped
                if value == int(target):
                    return f"I try some.\n<answer>{text}</answer>"
    return "none found"


def _apply(sign: str, left: Fraction | None, right: Fraction | None) -> Fraction | None:
    if left is None or right is None or (sign == "/" and not right):
        return None
    return {"+": left + right, "-": left - right, "*": left * right, "/": left / right if right else None}[sign]


def _leftmost(order: tuple[int, ...], signs: tuple[str, ...]) -> tuple[str, Fraction | None]:
    text, value = str(order[0]), Fraction(order[0])
    found: Fraction | None = value
    for sign, number in zip(signs, order[1:], strict=True):
        text, found = f"({text} {sign} {number})", _apply(sign, found, Fraction(number))
    return text, found


def _rightmost(order: tuple[int, ...], signs: tuple[str, ...]) -> tuple[str, Fraction | None]:
    text = str(order[-1])
    found: Fraction | None = Fraction(order[-1])
    for sign, number in zip(reversed(signs), reversed(order[:-1]), strict=True):
        text, found = f"({number} {sign} {text})", _apply(sign, Fraction(number), found)
    return text, found


def grade(score: int) -> Callable[[Body], str]:
    return lambda _: json.dumps({"reason": "as it should be", "score": score})


QUESTIONS = map(json.loads, (recipes()["reasoning"] / "train.jsonl").read_text(encoding="utf-8").splitlines())
RESULTS = {seed["question"]: seed["result"] for seed in QUESTIONS}
PALINDROME = """```python
def NAME(text):
    kept = [letter for letter in text.lower() if letter.isalnum()]
    return kept == kept[::-1]
```"""
LONG = "This is a whole answer of more than a few words."
GOOD: dict[str, dict[str, Callable[[Body], str]]] = {
    "instruct": {"answer": lambda _: LONG, "grade": grade(5)},
    "self-instruct": {
        "invent": lambda _: json.dumps({"tasks": [{"task": f"Do a new thing, number {n}."} for n in range(3)]}),
        "answer": lambda body: "Done: " + said(body),
        "grade": grade(4),
    },
    "evol-instruct": {
        "evolve": lambda body: "Explain this to somebody who knows nothing: " + said(body).splitlines()[1],
        "check": grade(4),
        "answer": lambda _: LONG,
    },
    "classify": {"label": lambda _: "billing"},
    "preference": {
        "answer": lambda body: f"An answer of quality {body['seed']}.",
        "grade": lambda body: json.dumps({"reason": "", "score": int(re.findall(r"quality (\d)", said(body))[-1])}),
    },
    "reasoning": {
        "solve": lambda body: f"<think>Let me see.</think>It is \\boxed{{{RESULTS[said(body).splitlines()[0]]}}}."
    },
    "countdown": {"solve": solution},
    "code": {"write": lambda body: PALINDROME.replace("NAME", re.findall(r"`(\w+)`", said(body))[0])},
    "translate-ar": {"translate": lambda _: "يفتح المخبز في السادسة صباحًا.", "compare": grade(5)},
    "doc-qa": {
        "ask": lambda _: json.dumps({"questions": [{"question": f"What does it say, {n}?"} for n in "ab"]}),
        "answer": lambda body: 'It says "{}".'.format(" ".join(said(body).split("\n")[1].split()[:5])),
    },
}
ROWS = {"self-instruct": 3 * SEEDS, "doc-qa": 2 * SEEDS, "code": 1}
"""Rows of train where they are not one of each seed: new seeds; and the scripted code solves one of the tasks."""


@pytest.fixture
def copy(tmp_path: Path) -> Callable[..., Path]:
    """A recipe's folder of one's own, with a few seeds, and whatever else is changed."""

    def make(name: str, **teacher: Any) -> Path:
        folder = tmp_path / name
        init(folder, name)
        data = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
        for seeds in filter(None, (data["seeds"], data.get("heldout"))):
            seeds["limit"] = SEEDS
        data["teacher"] |= teacher
        (folder / "recipe.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
        return folder

    return make


def rows(folder: Path, config: str = "data", split: str = "train") -> list[dict[str, Any]]:
    return [row for path in sorted((folder / config).glob(f"{split}-*")) for row in pq.read_table(path).to_pylist()]


@pytest.mark.parametrize("name", OTHERS)
def test_a_recipe_asks_what_it_is_known_to_ask(name: str) -> None:
    found = estimate(Recipe.load(recipes()[name]))
    lines = []
    for step in found.steps:
        lines += [f"--- {step.name}", *(f"[{message['role']}] {message['content']}" for message in step.prompts[0])]
    path, text = GOLDEN / f"{name}.txt", "\n".join(lines) + "\n"
    if os.environ.get("HARVESTER_WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", OTHERS)
def test_a_recipe_has_seeds_enough_and_says_what_it_is_for(name: str) -> None:
    recipe = Recipe.load(recipes()[name])
    assert estimate(recipe).seeds >= 20
    assert recipe.name == name
    assert recipe.seeds.license
    assert recipe.teacher.embedded
    assert 30 < len(about(recipe.folder)) < 160
    assert 8 <= len((recipe.folder / "README.md").read_text(encoding="utf-8").splitlines()) <= 16


@pytest.mark.parametrize("name", OTHERS)
def test_good_answers_come_out_as_the_dataset(name: str, copy: Any, provider: Any) -> None:
    folder = copy(name, base_url=provider.url, local=True, provider="vllm", sampling={"seed": 1, "max_tokens": 50})
    recipe = Recipe.load(folder)
    first_words = {step.name: step.prompts[0][0]["content"].split("\n")[0][:60] for step in estimate(recipe).steps}

    def answer(body: Body) -> str:
        for step, words in first_words.items():
            begins = str(body["messages"][0]["content"])
            if begins.startswith(words[:25]) or len(first_words) == 1:
                return GOOD[name][step](body)
        return GOOD[name]["answer"](body)  # whose prompt is the seed's own words

    provider.answer = answer
    progress = asyncio.run(collect(recipe))
    assert progress.failed == 0
    export(recipe, folder / "out")
    found = rows(folder / "out")
    assert len(found) == ROWS.get(name, SEEDS), status(recipe)["splits"]
    assert {row["step"] for row in found} == {recipe.answer_step.name}
    assert asyncio.run(collect(recipe)).answered == 0
    if name == "preference":
        pairs = rows(folder / "out", "preference")
        assert {(pair["score_chosen"], pair["score_rejected"]) for pair in pairs} == {(4, 1)}
    if name == "reasoning":
        assert {row["reasoning"] for row in found} == {"Let me see."}
    if name == "translate-ar":
        assert {row["messages"][-1]["content"] for row in found} == {"يفتح المخبز في السادسة صباحًا."}
    if name in ("instruct", "translate-ar"):
        assert {row["score"] for row in found} == {5}


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_a_recipe_runs_with_a_real_small_model(name: str, copy: Any) -> None:
    """What a 135M model says is worth little: that each answer is accounted for is what counts."""
    folder = copy(name, limits={"concurrency": 4})
    data = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    data["teacher"]["sampling"]["max_tokens"] = 32
    for step in data["steps"]:
        step["samples"] = min(step.get("samples", 1), 2)
        step.get("sampling", {}).pop("max_tokens", None)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    recipe = Recipe.load(folder)
    progress = asyncio.run(collect(recipe))
    found = status(recipe)
    assert progress.failed == 0
    assert progress.answered == found["requests"]["answered"] >= SEEDS
    splits = Counter(
        {split: part["accepted"] + sum(part["dropped"].values()) for split, part in found["splits"].items()}
    )
    assert splits == {split: part["rows"] for split, part in found["splits"].items()}
    assert asyncio.run(collect(recipe)).answered == 0
    exported = export(recipe, folder / "out")
    assert exported.waiting == 0
    assert exported.rows.total() + exported.dropped.total() > 0


@pytest.mark.parametrize("name", ["countdown", "reasoning"])
def test_a_stranger_recounts_the_solutions(name: str, copy: Any, provider: Any) -> None:
    folder = copy(name, base_url=provider.url, local=True, provider="vllm", sampling={"max_tokens": 50})
    provider.answer = GOOD[name]["solve"]
    asyncio.run(collect(Recipe.load(folder)))
    export(Recipe.load(folder), folder / "out")
    script = Path(__file__).parents[3] / "examples/check_solutions.py"

    def recount() -> tuple[int, str]:
        done = subprocess.run([sys.executable, script, folder / "out"], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    accepted = [*rows(folder / "out"), *(row for row in rows(folder / "out", split="test") if row["accepted"])]
    assert recount() == (0, f"{len(accepted)} of {len(accepted)} accepted rows are right\n")
    for path in (folder / "out/data").glob("train-*"):
        table = pq.read_table(path)
        seeds = [json.loads(text) for text in table["seed"].to_pylist()]
        other = {"target": 9999} if name == "countdown" else {"result": "9999"}
        wrong = [json.dumps(seed | other) for seed in seeds]
        pq.write_table(table.set_column(table.schema.get_field_index("seed"), "seed", [wrong]), path)
    assert recount()[0] == 1
    for path in (folder / "out/data").iterdir():
        path.unlink()
    assert recount()[0] == 2


@pytest.mark.slow
def test_the_table_of_all_recipes_can_be_made_anew() -> None:
    script = Path(__file__).parents[3] / "examples/try_recipes.py"
    done = subprocess.run([sys.executable, script, "1", "8"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split("`")[1].split()[-1] for line in done.stdout.splitlines()[2:]] == list(recipes())
