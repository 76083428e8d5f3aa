"""Runs every recipe that comes with Harvester on the embedded teacher, small, and prints what became of the answers.

    python examples/try_recipes.py [SEEDS [MAX_TOKENS]]

Four seeds of each split and 96 tokens an answer take about five minutes on two cores.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

import yaml

from harvester import Recipe, collect, export
from harvester.starting import init, recipes
from harvester.status import status

SEEDS, MAX_TOKENS = 4, 96


def shrink(folder: Path, seeds: int, max_tokens: int) -> None:
    """Let the recipe in a folder ask less."""
    path = folder / "recipe.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    for split in ("seeds", "dev", "heldout"):
        if split in data:
            data[split]["limit"] = seeds
    for part in (data["teacher"], *data["steps"]):
        if "max_tokens" in part.get("sampling", {}):
            part["sampling"]["max_tokens"] = min(max_tokens, part["sampling"]["max_tokens"])
    path.write_text(yaml.safe_dump(data), encoding="utf-8")


def counted(name: str, folder: Path) -> str:
    """Collect and export a recipe; returns its line of the table."""
    recipe = Recipe.load(folder)
    progress = asyncio.run(collect(recipe))
    found, exported = status(recipe), export(recipe, folder / "dataset")
    rows = ", ".join(f"{count} {split}" for split, count in exported.rows.items()) or "none"
    dropped = ", ".join(f"{count} {reason}" for reason, count in exported.dropped.most_common()) or "nothing"
    steps = ", ".join(f"{step}: {its['rows']}" for step, its in found["steps"].items()) or recipe.steps[0].name
    command = f"harvester init runs/{name} --recipe {name}"
    return f"| `{command}` | {progress.answered} ({steps}) | {rows} | {dropped} |"


def main() -> None:
    """Try them all."""
    seeds, max_tokens = (int(text) for text in (*sys.argv[1:3], *(SEEDS, MAX_TOKENS)[len(sys.argv) - 1 :]))
    print("| then `harvester collect` | answered (rows of train by step) | rows of the dataset | left out |")
    print("|---|---|---|---|")
    for name in recipes():
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary, name)
            init(folder, name)
            shrink(folder, seeds, max_tokens)
            print(counted(name, folder), flush=True)


if __name__ == "__main__":
    main()
