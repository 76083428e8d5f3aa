"""A dataset is replaced in one step: killed at any instant, or out of disk, an export leaves a whole one."""

import asyncio
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harvester.collecting import Options, collect
from harvester.exporting import export, placing
from harvester.recipe import Recipe

from killed_exports import state  # isort: skip - helpers beside the tests
from provider import completion  # isort: skip

LARGE = 50_000  # bytes
KILLED_EXPORTS = Path(__file__).with_name("killed_exports.py")


@pytest.fixture
def recipe(folder: Any, provider: Any) -> Recipe:
    """Ten answers, half of which are rejected; one is large, and cannot be compressed."""
    folder.data["steps"][0]["verify"] = {"json_schema": {"type": "object"}}
    folder.save()
    large = json.dumps({"text": random.Random(0).randbytes(LARGE).hex()})  # noqa: S311 - no secret

    def script(body: dict[str, Any], _before: int) -> Any:
        number = int(body["messages"][-1]["content"][-1])
        return (200, {}, completion(large if number == 1 else "{}" if number % 2 else "prose"))

    provider.script = script
    loaded = Recipe.load(folder.path)
    asyncio.run(collect(loaded, None, Options()))
    return loaded


def two_states(recipe: Recipe, folder: Path) -> list[str]:
    """Of the dataset with the rejected answers, and of the one without."""
    for name, unfiltered in (("all", True), ("good", False)):
        export(recipe, folder / name, unfiltered=unfiltered)
    states = [state(folder / "all"), state(folder / "good")]
    assert len(set(states)) == len(states)
    return states


def beside(out: Path) -> list[str]:
    return sorted(path.name for path in out.parent.iterdir() if path != out)


@pytest.mark.parametrize(
    ("how", "least"),
    [
        pytest.param("exchange", 10, marks=pytest.mark.slow),
        pytest.param("renames", 10, marks=pytest.mark.slow),
        ("random", 24),
    ],
)
def test_fault_26_killed_at_any_instant_a_whole_dataset_is_there(
    recipe: Recipe, tmp_path: Path, how: str, least: int
) -> None:
    allowed = two_states(recipe, tmp_path / "once")
    out = tmp_path / "datasets" / "out"
    export(recipe, out)
    command = [sys.executable, str(KILLED_EXPORTS), str(recipe.path), str(out), how, *allowed]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) >= least, "exports were killed"
    export(recipe, out)
    assert beside(out) == []  # it swept what the others left


def test_a_disk_that_is_full_is_said_in_one_line_and_leaves_the_old_dataset(recipe: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "datasets" / "out"
    export(recipe, out)
    before = state(out)
    # SQLite's readers need 32 KiB of shared memory beside the database.
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({LARGE}, {LARGE}))"
    limited = f"{limit}; from harvester.cli import main; main()"
    command = [sys.executable, "-c", limited, "export", str(recipe.path), str(out), "--unfiltered"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1, ran.stderr
    assert f"{out}: cannot be written: " in ran.stderr
    assert state(out) == before
    assert beside(out) == []


def test_what_a_living_export_writes_is_not_swept(recipe: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "datasets" / "out"
    with placing.replacing(out) as slow:
        (slow / "file").write_text("slow", encoding="utf-8")
        export(recipe, out)
        assert (out / "harvester.json").exists()
    assert (out / "file").read_text(encoding="utf-8") == "slow"
    assert beside(out) == []


def test_folders_of_others_with_such_a_name_are_not_swept(recipe: Recipe, tmp_path: Path) -> None:
    parent = tmp_path / "datasets"
    for name, inside in ((".out-abcdefgh", "thesis"), (".out-dead0000", "new"), (".other-dead0000", "new")):
        (parent / name / inside).mkdir(parents=True)
    export(recipe, parent / "out")
    assert beside(parent / "out") == [".other-dead0000", ".out-abcdefgh"]


def test_an_error_while_writing_leaves_nothing_behind(tmp_path: Path) -> None:
    out = tmp_path / "datasets" / "out"
    with pytest.raises(KeyboardInterrupt), placing.replacing(out):
        raise KeyboardInterrupt
    assert list(out.parent.iterdir()) == []
