"""What a recipe will ask and cost, before a cent is spent."""

import json
from dataclasses import dataclass

from harvester.budget import worst_case_tokens
from harvester.planning import planned
from harvester.pricing import usd
from harvester.recipe import Recipe
from harvester.records import Message

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


def estimate(recipe: Recipe) -> Estimate:
    """Render every seed and add up; no network, no store.

    Raises:
        BadInput: a seed or a template is wrong.
    """
    seeds = requests = most_input = 0
    prompts: list[list[Message]] = []
    for _, asked in planned(recipe):
        seeds += 1
        requests += len(asked)
        most_input += worst_case_tokens(asked[0].body)[0] * len(asked)
        if len(prompts) < SHOWN:
            prompts.append(json.loads(asked[0].body)["messages"])
    input_tokens = (most_input // LOW_BYTES_PER_TOKEN, most_input)
    output_tokens = _output_tokens(recipe, requests)
    cost = _usd(recipe, input_tokens, output_tokens)
    return Estimate(seeds, requests, input_tokens, output_tokens, cost, tuple(prompts))


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
