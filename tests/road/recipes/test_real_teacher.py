"""Every recipe with a teacher that really answers, the embedded one, and with the lines for an API that it carries."""

import re
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
import yaml

from harvester.estimating import estimate
from harvester.recipe import Recipe
from harvester.recipe.recipe import JUDGE
from harvester.starting import recipes
from harvester.status import status

SEEDS = 2
# The demo carries no such lines, and its own road with the embedded teacher is tests/road/test_quickstart.py.
OTHERS = sorted(set(recipes()) - {"extract-orders"})
WITH_JUDGE = {"instruct", "preference", "translate-ar"}


@pytest.mark.parametrize("name", OTHERS)
def test_the_commented_lines_make_a_recipe_for_a_real_teacher(name: str, shipped: Any) -> None:
    path = shipped(name).path / "recipe.yaml"
    shown = (recipes()[name] / "recipe.yaml").read_text(encoding="utf-8")
    data = yaml.safe_load(shown)
    data["teacher"] |= yaml.safe_load("\n".join(re.findall(r"^  #   (.*)$", shown, re.MULTILINE)))
    data |= yaml.safe_load("\n".join(re.findall(r"^# ((?:judge|budget): .*)$", shown, re.MULTILINE)))
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    recipe = Recipe.load(path)
    assert not any(teacher.embedded for teacher in recipe.asked_teachers.values())
    assert (JUDGE in recipe.asked_teachers) == (name in WITH_JUDGE)
    found = estimate(recipe)
    assert found.usd
    assert 0 < found.usd[0] < found.usd[1]
    assert recipe.budget
    assert recipe.budget.usd
    assert Decimal(found.usd[0]) < recipe.budget.usd


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", OTHERS)
def test_a_recipe_runs_with_a_real_small_model(name: str, shipped: Any) -> None:
    """What a 135M model says is worth little: that each answer is accounted for is what counts."""
    copy = shipped(name, limit=SEEDS, max_tokens=32)
    path = copy.path / "recipe.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    for step in data["steps"]:
        step["samples"] = min(step.get("samples", 1), 2)
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    progress = copy.collect()
    found = status(copy.recipe)
    assert progress.failed == 0
    assert progress.answered == found["requests"]["answered"] >= SEEDS
    splits = Counter(
        {split: part["accepted"] + sum(part["dropped"].values()) for split, part in found["splits"].items()}
    )
    assert splits == {split: part["rows"] for split, part in found["splits"].items()}
    assert copy.collect().answered == 0
    exported = copy.export()
    assert exported.waiting == 0
    assert exported.rows.total() + exported.dropped.total() > 0
