"""Every shipped recipe: what it asks, and its whole flow with good answers.

The expected prompts lie in golden/RECIPE/STEP.txt; HARVESTER_WRITE_GOLDEN=1 writes them anew.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harvester.estimating import estimate
from harvester.recipe import Recipe
from harvester.starting import about, recipes
from harvester.status import status

from good_answers import GOOD  # isort: skip - a helper beside the tests

GOLDEN = Path(__file__).parent / "golden"
OTHERS = sorted(set(recipes()) - {"extract-orders"})  # which is the demo, and has tests of its own
SEEDS = 3
ROWS = {"self-instruct": 3 * SEEDS, "doc-qa": 2 * SEEDS, "code": 1}
"""Rows of train where they are not one of each seed: new seeds; and the scripted code solves one of the tasks."""


@pytest.mark.parametrize("name", OTHERS)
def test_a_recipe_asks_what_it_is_known_to_ask(name: str, as_golden: Any) -> None:
    steps = {step.name: step.prompts[0] for step in estimate(Recipe.load(recipes()[name])).steps}
    assert list(steps) == list(GOOD[name])
    for step, prompt in steps.items():
        as_golden(name, step, prompt)


def test_every_golden_file_belongs_to_a_step() -> None:
    for path in GOLDEN.glob("*/*"):
        assert path.stem.partition("-")[0] in GOOD[path.parent.name], path


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
def test_held_out_seeds_that_are_shipped_are_named_by_the_recipe(name: str) -> None:
    recipe = Recipe.load(recipes()[name])
    named = {path for spec in (recipe.seeds, recipe.dev, recipe.heldout) if spec for path in [spec.path]}
    shipped = {path.name for path in recipe.folder.glob("*.jsonl")}
    assert shipped <= {str(path) for path in named}


@pytest.mark.parametrize("name", OTHERS)
def test_good_answers_come_out_as_the_dataset(name: str, shipped: Any, provider: Any) -> None:
    copy = shipped(name, provider=provider, limit=SEEDS)
    copy.answers(**GOOD[name])
    assert copy.collect().failed == 0
    copy.export()
    found = copy.rows()
    assert len(found) == ROWS.get(name, SEEDS), status(copy.recipe)["splits"]
    assert {row["step"] for row in found} == {copy.recipe.answer_step.name}
    assert copy.collect().answered == 0
    if name == "preference":
        assert {(pair["score_chosen"], pair["score_rejected"]) for pair in copy.rows("preference")} == {(4, 1)}
    if name == "reasoning":
        assert {row["reasoning"] for row in found} == {"Let me see."}
    if name == "translate-ar":
        assert {row["messages"][-1]["content"] for row in found} == {"يفتح المخبز في السادسة صباحًا."}
    if name in ("instruct", "translate-ar"):
        assert {row["score"] for row in found} == {5}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_table_of_all_recipes_can_be_made_anew() -> None:
    script = Path(__file__).parents[3] / "examples/try_recipes.py"
    done = subprocess.run([sys.executable, script, "1", "8"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split("`")[1].split()[-1] for line in done.stdout.splitlines()[2:]] == list(recipes())
