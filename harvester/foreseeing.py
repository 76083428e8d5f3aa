"""What templates of later steps see before anything was answered: stand-ins for what nobody knows yet."""

from collections.abc import Mapping
from typing import Any

from harvester.prompting import Prompter
from harvester.recipe import Recipe, Step
from harvester.records import Json, Request

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
    return prompter.requests({**fields, "steps": steps} if steps else fields)


def _said(name: str) -> dict[str, Json]:
    texts = {field: StandIn(f"{name}.{field}") for field in ("text", "reasoning", "reason", "json")}
    return {**texts, "score": 0}
