"""A recipe that was edited since its store was filled: rows of a step that it lacks are told, with the mend."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harvester.collecting import collect, parse
from harvester.curating import curate
from harvester.diffing import diff
from harvester.errors import BadInput
from harvester.exporting import export
from harvester.recipe import Recipe


def loaded(folder: Any) -> Recipe:
    folder.save()
    return Recipe.load(folder.path)


def rename_the_step(folder: Any) -> None:
    folder.data["steps"][0]["name"] = "reply"
    folder.data["steps"] = folder.data["steps"][:1]


def remove_the_judge(folder: Any) -> None:
    folder.data["steps"].pop()


@pytest.fixture
def judged(folder: Any, provider: Any) -> Any:
    """Two answers that a judge scored."""
    provider.answer = lambda _: '{"reason": "so", "score": 7}'
    folder.seeds("train.jsonl", ["one", "two"])
    folder.write("judge.j2", "Judge: {{ steps.answer.text }}")
    folder.data["steps"].append({"name": "grade", "kind": "judge", "prompt": "judge.j2"})
    asyncio.run(collect(loaded(folder)))
    return folder


@pytest.mark.parametrize("edit", [rename_the_step, remove_the_judge])
def test_rows_of_a_step_that_is_gone_are_told_until_collect_plans_anew(
    judged: Any, tmp_path: Path, edit: Callable[[Any], None]
) -> None:
    export(loaded(judged), tmp_path / "old")
    judged.data["steps"][0]["verify"] = {"regex": {"pattern": "8"}}
    export(loaded(judged), tmp_path / "new")
    del judged.data["steps"][0]["verify"]
    edit(judged)
    recipe = loaded(judged)
    for reads in (
        lambda: export(recipe, tmp_path / "out"),
        lambda: curate(recipe),
        lambda: parse(recipe),
        lambda: diff(tmp_path / "old", tmp_path / "new", recipe=recipe),
    ):
        with pytest.raises(BadInput, match=r"rows of (answer|grade), which the recipe lacks.*; run: harvester collect"):
            reads()
    assert not (tmp_path / "out").exists()
    asyncio.run(collect(recipe))
    assert export(recipe, tmp_path / "out").rows["train"] == 2
