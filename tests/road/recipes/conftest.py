"""What the recipes' tests share: a shipped recipe as a folder of one's own, small, and somebody who answers it."""

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from harvester.collecting import Progress, collect
from harvester.estimating import estimate
from harvester.exporting import Exported, export
from harvester.recipe import Recipe
from harvester.starting import init
from harvester.status import status

from provider import Provider  # isort: skip - a helper beside the tests

sys.path.insert(0, str(Path(__file__).parent))  # the helpers of this folder are no package either
GOLDEN = Path(__file__).parent / "golden"
Body = dict[str, Any]


@dataclass
class Shipped:
    """A copy of a shipped recipe, and the provider that it asks; without one it asks the embedded teacher."""

    path: Path
    provider: Provider | None

    @property
    def recipe(self) -> Recipe:
        return Recipe.load(self.path)

    def answers(self, **by_step: Callable[[Body], str]) -> None:
        """Script what the provider says at each step."""
        assert self.provider
        self.provider.answer = lambda body: by_step[self.step_of(body)](body)

    def step_of(self, body: Body) -> str:
        """The step that asked: each has a system prompt of its own, and one at most has none."""
        return self._steps[_system(body["messages"])]

    @cached_property
    def _steps(self) -> dict[str | None, str]:
        return {_system(step.prompts[0]): step.name for step in estimate(self.recipe).steps}

    def asked(self, step: str) -> list[list[dict[str, str]]]:
        """The messages of every request of a step."""
        assert self.provider
        return [body["messages"] for body in self.provider.asked if self.step_of(body) == step]

    def collect(self) -> Progress:
        return asyncio.run(collect(self.recipe))

    def steps(self) -> dict[str, Any]:
        """Rows of train by step: how many, how many accepted, why the others were not; selection is not in it."""
        return status(self.recipe)["steps"]

    def export(self) -> Exported:
        return export(self.recipe, self.path / "out")

    def rows(self, config: str = "data", split: str = "train") -> list[dict[str, Any]]:
        """Of the exported dataset, in the order of their seeds."""
        files = sorted((self.path / "out" / config).glob(f"{split}-*"))
        return [row for path in files for row in pq.read_table(path).to_pylist()]


def _system(messages: list[Any]) -> str | None:
    return str(messages[0]["content"]) if messages[0]["role"] == "system" else None


@pytest.fixture
def shipped(tmp_path: Path) -> Callable[..., Shipped]:
    """Copies a recipe, with few seeds and short answers; it asks the embedded teacher, or `provider`."""

    def make(name: str, *, provider: Provider | None = None, limit: int = 3, max_tokens: int = 32) -> Shipped:
        folder = tmp_path / name
        init(folder, name)
        path = folder / "recipe.yaml"
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        for split in {"seeds", "dev", "heldout"} & set(data):
            data[split]["limit"] = limit
        for part in (data["teacher"], *data["steps"]):
            if "max_tokens" in part.get("sampling", {}):
                part["sampling"]["max_tokens"] = min(max_tokens, part["sampling"]["max_tokens"])
        if provider:
            # The seed tells a scripted answer which sample it is.
            sampling = {**data["teacher"]["sampling"], "seed": 0}
            data["teacher"] |= {"base_url": provider.url, "local": True, "provider": "vllm", "sampling": sampling}
        path.write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False), encoding="utf-8")
        return Shipped(folder, provider)

    return make


@pytest.fixture
def as_golden() -> Callable[[str, str, list[dict[str, str]]], None]:
    """Compares messages with golden/RECIPE/STEP.txt; HARVESTER_WRITE_GOLDEN=1 writes it anew.

    STEP.txt is what `check` shows of a step, STEP-asked.txt and other STEP-… are requests that were sent.
    """

    def compare(name: str, step: str, messages: list[dict[str, str]]) -> None:
        text = "".join(f"[{message['role']}] {message['content']}\n" for message in messages)
        path = GOLDEN / name / f"{step}.txt"
        if os.environ.get("HARVESTER_WRITE_GOLDEN"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return compare
