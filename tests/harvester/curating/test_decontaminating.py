"""decontaminate within a curation: when it runs, and that it knows the rows."""

import asyncio
import json
from typing import Any

import pytest

from harvester.collecting import collect
from harvester.curating import curate
from harvester.curating.curated import Curated
from harvester.recipe import Recipe

INSTRUCTION = (
    "Read the message below and tell in one sentence what its writer wants, without greetings, names or dates of it."
)


def curated(folder: Any, provider: Any, decontaminate: Any, held_out: dict[str, str] | None) -> Curated:
    provider.answer = lambda body: f"It is about {body['messages'][-1]['content'][-3:]}."
    train = [{"task": INSTRUCTION, "text": f"message {n:03}"} for n in range(12)]
    folder.write("train.jsonl", "".join(json.dumps(seed) + "\n" for seed in train))
    folder.write("answer.j2", "{{ task }}\n{{ text }}")
    if held_out:
        folder.write("heldout.jsonl", json.dumps(held_out) + "\n")
        folder.data["heldout"] = {"path": "heldout.jsonl"}
    folder.data["curate"] = {"decontaminate": decontaminate}
    folder.save()
    recipe = Recipe.load(folder.path)
    asyncio.run(collect(recipe))
    return curate(recipe)


@pytest.mark.parametrize(
    ("named", "has_held_out", "runs"), [([], True, False), (None, True, True), (None, False, False)]
)
def test_it_runs_where_there_is_something_to_look_for(
    folder: Any, provider: Any, named: Any, has_held_out: bool, runs: bool
) -> None:
    found = curated(folder, provider, named, {"task": "Say it.", "text": "a held-out one"} if has_held_out else None)
    assert ("decontaminate" in found.filters) == runs


def test_rows_that_share_the_instruction_of_the_one_held_out_seed_stay(folder: Any, provider: Any) -> None:
    found = curated(folder, provider, None, {"task": INSTRUCTION, "text": "a quite different message"})
    assert "decontaminate" in found.filters
    assert found.after["train"] == 12
