"""What a recipe will ask and cost, before a cent is spent."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from harvester.budget import worst_case_tokens
from harvester.errors import BadInput
from harvester.exporting.columns import student_template
from harvester.planning import planned
from harvester.pricing import usd
from harvester.recipe import Recipe
from harvester.records import Message, Seed
from harvester.secrets_in_seeds import Scan, Secret
from harvester.verify.json_schema import JSON_SCHEMA

SHOWN = 3
LOW_BYTES_PER_TOKEN = 5
"""English has four to five bytes a token: the low end of a guess."""
LOW_OUTPUT_SHARE = 0.1
"""Short jobs end far below max_tokens."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Requests, tokens and dollars. Low is a guess; high cannot be passed but by retries."""

    seeds: int
    requests: int
    input_tokens: tuple[int, int]
    output_tokens: tuple[int, int] | None  # None without max_tokens
    usd: tuple[float, float] | None  # None without max_tokens or a price
    prompts: tuple[list[Message], ...]  # the first few, rendered
    secrets: tuple[Secret, ...]  # in the prompts; `secrets_in_seeds.require_none` refuses them


def estimate(recipe: Recipe) -> Estimate:
    """Render every seed and add up; no network, no store.

    The student's view is rendered too: what would fail at export is better known before the teacher is paid.

    Raises:
        BadInput: a seed, a template or a verifier's source is wrong.
    """
    seeds = requests = most_input = 0
    prompts: list[list[Message]] = []
    student = student_template(recipe)
    splits: set[str] = set()
    scan = Scan(recipe)
    for seed, asked in planned(recipe):
        if student:
            student.render(seed.data)
        if seed.split not in splits:
            splits.add(seed.split)
            _require_sources(recipe, seed)
        seeds += 1
        requests += len(asked)
        most_input += worst_case_tokens(asked[0].body)[0] * len(asked)
        messages = json.loads(asked[0].body)["messages"]
        scan.look(seed, messages)
        if len(prompts) < SHOWN:
            prompts.append(messages)
    input_tokens = (most_input // LOW_BYTES_PER_TOKEN, most_input)
    output_tokens = _output_tokens(recipe, requests)
    cost = _usd(recipe, input_tokens, output_tokens)
    return Estimate(seeds, requests, input_tokens, output_tokens, cost, tuple(prompts), scan.found)


def _require_sources(recipe: Recipe, first: Seed) -> None:
    for name, source in _sources(recipe):
        if not isinstance(first.data.get(source), str):
            fields = ", ".join(field for field, value in first.data.items() if isinstance(value, str))
            raise BadInput(
                f"{recipe.path}: steps.0.verify.{name}.source: the first seed of {first.split} has no text field"
                f" {source!r}; name one of its own: {fields or 'it has none'}"
            )


def _sources(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """(verifier, field of the seed that it compares answers with)."""
    for name, settings in recipe.rules.items():
        if name == JSON_SCHEMA.name:  # a schema may have words of its own
            continue
        for one in settings if isinstance(settings, list) else [settings]:
            if isinstance(one, dict) and isinstance(one.get("source"), str):
                yield name, one["source"]


def _output_tokens(recipe: Recipe, requests: int) -> tuple[int, int] | None:
    max_tokens = recipe.teacher.sampling.max_tokens
    if max_tokens is None:
        return None
    return int(requests * max_tokens * LOW_OUTPUT_SHARE), requests * max_tokens


def _usd(
    recipe: Recipe, input_tokens: tuple[int, int], output_tokens: tuple[int, int] | None
) -> tuple[float, float] | None:
    price = recipe.teacher.known_price
    if price is None or output_tokens is None:
        return None
    low, high = (price.cost_nusd(*tokens) for tokens in zip(input_tokens, output_tokens, strict=True))
    return usd(low), usd(high)
