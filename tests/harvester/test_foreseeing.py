"""What is known of later steps before anything was answered."""

from typing import Any

import pytest

from harvester.estimating import estimate
from harvester.foreseeing import NEW_SEEDS, new_seeds_at_least_and_most
from harvester.recipe import Recipe

SEEDS = 10


def array(**bounds: int) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string"}, **bounds}


@pytest.mark.parametrize(
    ("schema", "bounds"),
    [
        (None, (1, NEW_SEEDS)),
        ({}, (1, NEW_SEEDS)),
        (array(), (1, NEW_SEEDS)),
        (array(maxItems=3), (1, 3)),
        (array(minItems=2, maxItems=3), (2, 3)),
        (array(minItems=0, maxItems=3), (1, 3)),
        (array(minItems=30), (30, 30)),
        (array(maxItems=0), (0, 0)),
        ({"type": "object", "properties": {"why": {"type": "string"}, "tasks": array(minItems=2, maxItems=4)}}, (2, 4)),
        ({"type": "object", "properties": {"a": array(maxItems=2), "b": array(maxItems=3)}}, (1, NEW_SEEDS)),
        ({"type": "object", "properties": {"a": True}}, (1, NEW_SEEDS)),
        ({"type": "object"}, (1, NEW_SEEDS)),
        ({"type": ["array", "null"], "maxItems": 2}, (1, NEW_SEEDS)),
    ],
)
def test_a_schema_bounds_the_new_seeds_of_a_reply(schema: Any, bounds: tuple[int, int]) -> None:
    assert new_seeds_at_least_and_most(schema) == bounds


@pytest.mark.parametrize(
    ("output", "requests"),
    [
        ({}, (3, SEEDS * NEW_SEEDS)),
        ({"output": {"json_schema": array(minItems=2, maxItems=4)}}, (6, SEEDS * 4)),
    ],
)
def test_what_follows_an_expanding_step_is_estimated_by_its_schema(
    folder: Any, output: dict[str, Any], requests: tuple[int, int]
) -> None:
    folder.write("ask.j2", "ask {{ text }}")
    folder.data["steps"] = [
        {"name": "ask", "kind": "expand", "prompt": "ask.j2", **output},
        {"name": "answer", "prompt": "answer.j2"},
    ]
    folder.save()
    ask, answer = estimate(Recipe.load(folder.path)).steps
    assert ask.requests == (SEEDS, SEEDS)
    assert answer.requests == requests
