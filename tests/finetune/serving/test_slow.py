"""The real 135M model behind the server, asked by a recipe of Harvester's: as a user's teacher would be."""

from pathlib import Path
from typing import Any

import datasets
import httpx
import pytest
from clients import KEY, http_client, serving

from finetune.serving.engine import Engine
from finetune.serving.served import load
from finetune.token_bytes import Vocabulary
from harvester.collecting import Options, collect
from harvester.exporting import export
from harvester.recipe import Recipe

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MODEL = "smollm2-135m-instruct"


async def test_a_recipe_collects_from_it_with_logprobs_that_scoring_repeats(
    folder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SERVE_API_KEY", KEY)
    folder.seeds("train.jsonl", ["rain", "a spoon", "the sea", "5 apples"])
    served = load("embedded", dtype="float32")
    async with serving(Engine(served)) as server, http_client(server) as http:
        folder.data["teacher"] |= {
            "base_url": server.base_url,
            "model": MODEL,
            "api_key_env": "SERVE_API_KEY",
            "sampling": {"temperature": 1.0, "top_p": 1.0, "max_tokens": 24, "logprobs": 20, "seed": 5},
        }
        del folder.data["terms"]
        folder.save()
        recipe = Recipe.load(folder.path)
        await collect(recipe, None, Options())
        export(recipe, tmp_path / "dataset", unfiltered=True)
        rows = datasets.load_dataset(str(tmp_path / "dataset"), split="train")
        assert len(rows) == 4
        for row in rows:
            await repeat(http, Vocabulary.of(served.base.tokenizer), row)


async def repeat(http: httpx.AsyncClient, vocabulary: Vocabulary, row: Any) -> None:
    """Each token's log probability and its likeliest neighbours, by the server's other way to tell them."""
    *prompt, answer = row["messages"]
    tokens = row["logprobs"]
    assert tokens
    said = b"".join(token["bytes"] for token in tokens).decode().removesuffix("<|im_end|>")
    assert said.strip() == answer["content"]
    asked = (await http.post("/tokenize", json={"messages": prompt})).json()["tokens"]
    ids = [vocabulary.by_bytes[token["bytes"]] for token in tokens]
    body = {"model": MODEL, "prompt": [*asked, *ids], "max_tokens": 0, "prompt_logprobs": 20}
    [choice] = (await http.post("/v1/completions", json=body)).json()["choices"]
    for token, number, scored in zip(tokens, ids, choice["prompt_logprobs"][len(asked) :], strict=True):
        assert scored[str(number)]["logprob"] == pytest.approx(token["logprob"], abs=1e-3)
        best = [entry["logprob"] for entry in scored.values() if entry["rank"] <= 20]
        assert best == pytest.approx(token["top"]["logprob"], abs=1e-3)
