"""A folder in which the pages' commands run without a network: a stand-in for the teacher, a tiny student. A helper."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pages
import pytest
import yaml
from provider import Provider

from finetune.cli import main as finetune
from harvester.cli import main as harvester

MAINS = {"harvester": harvester, "finetune": finetune}
SEEDS = {"seeds": 12, "dev": 4, "heldout": 8}


def make_recipe(folder: Path, provider: Provider, *, pairs: bool = False) -> None:
    """A recipe with all three splits; one answer of train is rejected, of `pairs` every second sample."""
    folder.mkdir(parents=True)
    for name, count in SEEDS.items():
        lines = [
            json.dumps({"text": f"{name} {number}", "reference": {"said": f"{name} {number}"}})
            for number in range(count)
        ]
        (folder / f"{name}.jsonl").write_text("".join(line + "\n" for line in lines))
    (folder / "answer.j2").write_text("Repeat as JSON:\n{{ text }}\n")
    recipe: dict[str, Any] = {
        "name": folder.name,
        "teacher": {"base_url": provider.url, "model": "toy-1", "local": True, "sampling": {"max_tokens": 50}},
        "steps": [{"name": "answer", "prompt": "answer.j2", "verify": {"json_schema": {"type": "object"}}}],
        "student": {"prompt": "answer.j2", "instruction": "Answer with JSON."},
        "terms": {"teacher": {"license": "Apache-2.0"}},
    }
    if pairs:
        recipe["teacher"]["sampling"]["seed"] = 0  # the provider is told it with the sample's number added
        recipe["steps"][0]["samples"] = 2
        recipe["export"] = {"preference": True}
    splits = {name: {"path": f"{name}.jsonl", "license": "CC0-1.0"} for name in SEEDS}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe | splits))


def answer(text: str, sample: int) -> str:
    """What the stand-in says to a prompt's last line, the first time and after that."""
    return "prose" if sample or text == "seeds 3" else json.dumps({"said": text})


def run(words: list[str], model: Path) -> None:
    """Runs a command of a page in this process; whatever base it names, the tiny one is trained."""
    if words[:2] == ["finetune", "train"]:
        if "--model" in words:
            place = words.index("--model")
            words = words[:place] + words[place + 2 :]
        words = [*words, "--model", str(model)]
    code: int | str | None = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", words)
        try:
            MAINS[words[0]]()
        except SystemExit as left:
            code = left.code
    assert not code, f"{' '.join(words)}: exit code {code}"


def run_script(line: str) -> None:
    """Runs `python examples/… ARGUMENTS`."""
    _, script, *arguments = line.split()
    done = subprocess.run(
        [sys.executable, str(pages.ROOT / script), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
