"""What examples/check_solutions.py says of an answer, beside what the recipe's own verifier says."""

import sys
from pathlib import Path
from typing import Any

from harvester.judging import Rules
from harvester.recipe import Recipe
from harvester.records import Answer
from harvester.starting import recipes

SCRIPT = Path(__file__).parents[3] / "examples" / "check_solutions.py"
sys.path.insert(0, str(SCRIPT.parent))  # scripts, and no package
from check_solutions import RIGHT, UNREADABLE, WRONG, verdict  # noqa: E402

__all__ = ["RIGHT", "SCRIPT", "UNREADABLE", "WRONG", "accepted", "verdict"]
RULES = {name: Rules(Recipe.load(recipes()[name])) for name in ("countdown", "reasoning")}


def accepted(answer: str, seed: dict[str, Any]) -> bool:
    """Whether the shipped recipe takes an answer to its seed."""
    name = "countdown" if "numbers" in seed else "reasoning"
    return RULES[name].judge("solve", Answer("ok", answer), seed).accepted
