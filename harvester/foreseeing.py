"""What can be said of later steps before anything was answered: stand-ins for texts, bounds for numbers of seeds."""

from collections.abc import Mapping
from typing import Any

from harvester.errors import BadInput
from harvester.prompting import Prompter
from harvester.recipe import Recipe, Step
from harvester.recipe.functions import named
from harvester.records import Json, Request

NEW_SEEDS = 10
"""That an expanding reply is taken to hold at most, where no schema tells."""

OPEN, CLOSE = "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}", "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"


class StandIn(dict[str, Any]):
    """Something of an answer that is not there yet: its name in angle quotes, and whatever is asked of it likewise."""

    def __init__(self, name: str) -> None:
        """The stand-in for what `name` will be."""
        super().__init__()
        self._name = name

    def __missing__(self, key: str) -> "StandIn":
        return StandIn(f"{self._name}.{key}")

    def __str__(self) -> str:
        return f"{OPEN}{self._name}{CLOSE}"

    def __bool__(self) -> bool:
        return True


def foreseen(recipe: Recipe, step: Step, prompter: Prompter, seed: Mapping[str, Json]) -> list[Request]:
    """The requests of a step for one of the recipe's seeds, as far as they can be foreseen.

    Raises:
        BadInput: the template is wrong.
    """
    steps = {one.name: _said(one.name) for one in recipe.ancestors(step)}
    fields = dict(seed)
    if recipe.has_new_seeds(step):
        fields = {name: StandIn(name) for name in prompter.template.names - set(seed) - {"steps"}} | fields
    try:
        return prompter.requests({**fields, "steps": steps} if steps else fields)
    except BadInput:
        if not (steps and callable(step.prompt)):
            raise
        # A function may do with an answer what no stand-in bears.
        unknown = StandIn(f"what {named(step.prompt)} makes of answers")
        return prompter.ask([{"role": "user", "content": str(unknown)}])


def new_seeds_at_least_and_most(schema: Mapping[str, Any] | None) -> tuple[int, int]:
    """How many new seeds an accepted reply of an expanding step holds, by the schema of its answer.

    Of an object whose one list is the seeds (`judging.new_seeds`) the list's `minItems` and `maxItems` count.
    """
    listed = schema or {}
    if listed.get("type") == "object":
        fields = [field for field in listed.get("properties", {}).values() if isinstance(field, Mapping)]
        lists = [field for field in fields if field.get("type") == "array"]
        listed = lists[0] if len(lists) == 1 else {}
    if listed.get("type") != "array":
        return 1, NEW_SEEDS
    least = max(1, int(listed.get("minItems", 1)))  # a reply without any is not accepted
    most = int(listed.get("maxItems", max(NEW_SEEDS, least)))
    return min(least, most), most


def _said(name: str) -> dict[str, Json]:
    texts = {field: StandIn(f"{name}.{field}") for field in ("text", "reasoning", "reason", "json")}
    return {**texts, "score": 0}
