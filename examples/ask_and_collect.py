"""The Python API: estimate, collect, ask a few questions of one's own, export.

python examples/ask_and_collect.py FOLDER    # a folder that `harvester init` made, or one of your own
"""

import asyncio
import sys
from decimal import Decimal
from pathlib import Path

from harvester import Options, Progress, Recipe, ask, collect, estimate, export


def show(progress: Progress) -> None:
    """Called every few seconds while the teacher is asked."""
    print(f"  {progress.answered} of {progress.to_ask} answered, {progress.failed} failed")


async def main(folder: Path) -> None:
    """Run it twice: the second time the teacher is asked nothing."""
    recipe = Recipe.load(folder)
    expected = estimate(recipe)  # no network
    dollars = "unknown" if expected.usd is None else "{:.4f} to {:.4f}".format(*expected.usd)
    print(f"{recipe.name}: {expected.requests} requests, USD {dollars}")

    # A budget needs a price and max_tokens in the recipe; without either leave it out.
    budget = None if expected.usd is None else Decimal("5.00")
    progress = await collect(recipe, options=Options(limit=20, budget_usd=budget, report=show))
    print(f"collected: {progress.answered} answered now, {progress.accepted} of them accepted")

    # Same teacher, limits, budget and store; stored apart from the dataset.
    prompts = ["What makes a good training example? Answer in one sentence.", "Name three kinds of payment."]
    for prompt, answer in zip(prompts, await ask(recipe, prompts), strict=True):
        print(f"{prompt}\n  {answer.text if answer else 'no answer'}")

    exported = export(recipe, folder / "dataset")
    print(f"{exported.path}: {sum(exported.rows.values())} rows, {exported.waiting} without an answer yet")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
