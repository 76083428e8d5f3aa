"""The lines for a real teacher that recipes carry as comments: put in force, they make a recipe that can be kept to."""

import re
from decimal import Decimal
from typing import Any

import pytest
import yaml

from harvester.estimating import estimate
from harvester.recipe import Recipe
from harvester.recipe.recipe import JUDGE
from harvester.starting import recipes

WITH_JUDGE = {"instruct", "preference"}


@pytest.mark.parametrize("name", ["classify", "evol-instruct", "instruct", "preference", "self-instruct"])
def test_the_commented_lines_make_a_recipe_for_a_real_teacher(name: str, shipped: Any) -> None:
    path = shipped(name).path / "recipe.yaml"
    shown = (recipes()[name] / "recipe.yaml").read_text(encoding="utf-8")
    data = yaml.safe_load(shown)
    data["teacher"] |= yaml.safe_load("\n".join(re.findall(r"^  #   (.*)$", shown, re.MULTILINE)))
    data |= yaml.safe_load("\n".join(re.findall(r"^# ((?:judge|budget): .*)$", shown, re.MULTILINE)))
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    recipe = Recipe.load(path)
    assert not any(teacher.embedded for teacher in recipe.asked_teachers.values())
    assert (JUDGE in recipe.asked_teachers) == (name in WITH_JUDGE)
    found = estimate(recipe)
    assert found.usd
    assert 0 < found.usd[0] < found.usd[1]
    assert recipe.budget
    assert recipe.budget.usd
    assert Decimal(found.usd[0]) < recipe.budget.usd
