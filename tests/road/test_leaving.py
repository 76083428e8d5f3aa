"""From a teacher's terms to the model card of the student: through both packages, on a tiny model."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

sys.path.insert(0, str(Path(__file__).parents[1] / "finetune"))
from provider import completion  # isort: skip - helpers beside the tests
from toys import make_llama  # isort: skip

from finetune.config import make_config
from finetune.errors import RefusedByTerms
from finetune.exporting import export
from finetune.training import train
from harvester.collecting import Options, collect
from harvester.exporting import export as export_dataset
from harvester.recipe import Recipe


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return make_llama(tmp_path / "tiny")


def test_the_terms_of_the_teacher_are_on_the_student_s_card(
    folder: Any, provider: Any, tiny: Path, tmp_path: Path
) -> None:
    provider.script = lambda body, _: (
        200,
        {},
        completion("prose" if body["messages"][-1]["content"].endswith("seed 3") else '{"a": 1}'),
    )
    folder.data["terms"] = {"teacher": {"license": "Llama-3.1"}}
    folder.data["seeds"]["license"] = "CC0-1.0"
    folder.data["steps"][0]["verify"] = {"json_schema": {"type": "object"}}
    folder.save()
    recipe = Recipe.load(folder.path)
    asyncio.run(collect(recipe, None, Options()))
    export_dataset(recipe, tmp_path / "dataset")
    config = {"model": str(tiny), "lora": {"rank": 2}, "training": {"max_steps": 1}}
    train(tmp_path / "dataset", tmp_path / "run", make_config(config))
    with pytest.raises(RefusedByTerms, match="--name Llama-toy"):
        export(tmp_path / "run", tmp_path / "toy")
    export(tmp_path / "run", tmp_path / "Llama-toy")
    found = ModelCard.load(tmp_path / "Llama-toy" / "README.md")
    assert (found.data.license, found.data.datasets) == ("other", ["toy"])
    for text in (
        "**Built with Llama**",
        "the student's name starts with Llama",
        "https://www.llama.com/llama3_1/license/",
        "licence: CC0-1.0",
        "Accepted: 9 of 10 answers",
        "Filters: `json_schema`",
        f"Teacher: `toy-1` at `{provider.url}`",
        "1 verify:json_schema",
        "Not evaluated",
    ):
        assert text in found.text, text
    assert json.loads((tmp_path / "Llama-toy" / "finetune.json").read_text())["name"] == "Llama-toy"
