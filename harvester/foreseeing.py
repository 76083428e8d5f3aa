"""What can be said of later steps before anything was answered: stand-ins for texts, bounds for numbers of seeds."""

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any

from harvester.errors import BadInput
from harvester.prompting import Prompter
from harvester.recipe import Recipe, Step
from harvester.recipe.functions import named
from harvester.records import Json, Request, Seed
from harvester.seeds import read_seeds, telling_where
from harvester.templating import Template, student_template

SHOWN = 3
"""So many seeds stand for the others."""
NEW_SEEDS = 10
"""That an expanding reply is taken to hold at most, where no schema tells."""

OPEN, CLOSE = "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}", "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"


class StandIn(dict[str, Any]):
    """Something of an answer that is not there yet: its name in angle quotes, and whatever is asked of it likewise."""

    def __init__(self, name: str) -> None:
        """The stand-in for what `name` will be."""
        super().__init__()
        self._name = name

    def __getitem__(self, key: object) -> "StandIn":
        return StandIn(f"{self._name}.{key}")

    def __call__(self, *arguments: object) -> "StandIn":  # noqa: ARG002 - any
        """What a method of it, such as a text's `strip`, will return."""
        return self

    def __str__(self) -> str:
        return _quoted(self._name)

    def __bool__(self) -> bool:
        return True


def foreseen(recipe: Recipe, step: Step, prompter: Prompter, seed: Mapping[str, Json]) -> list[Request]:
    """The requests of a step for one of the recipe's seeds, as far as they can be foreseen.

    Raises:
        BadInput: the template is wrong.
    """
    steps = {one.name: _said(one.name) for one in recipe.ancestors(step)}
    fields = _fields(recipe, step, prompter.template.names, seed)
    try:
        return prompter.requests({**fields, "steps": steps} if steps else fields)
    except BadInput:
        if not (steps and callable(step.prompt)):
            raise
        # A function may do with an answer what no stand-in bears.
        unknown = StandIn(f"what {named(step.prompt)} makes of answers")
        return prompter.ask([{"role": "user", "content": str(unknown)}])


def require_student_fits(recipe: Recipe) -> None:
    """Refuse a template of the student's view that the first seeds show to be wrong: an export would find it too late.

    Of several steps nothing is said here: a template may do with an answer what no stand-in bears, and `estimate`
    shows that without standing in the way.

    Raises:
        BadInput: it is wrong, or a seed is.
    """
    template = student_template(recipe)
    if template and len(recipe.steps) == 1:
        for position, seed in enumerate(islice(read_seeds(recipe), SHOWN)):
            with telling_where(recipe, position):
                render_student(recipe, template, seed)


def render_student(recipe: Recipe, template: Template, seed: Seed) -> None:
    """Render the student's view of a seed, as far as it can be foreseen.

    Raises:
        BadInput: the template is wrong.
    """
    last = recipe.answer_step
    context = _fields(recipe, last, template.names, seed.data)
    if len(recipe.steps) > 1:
        context["steps"] = {one.name: _said(one.name) for one in (*recipe.ancestors(last), last)}
    template.render(context)


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


def _fields(recipe: Recipe, step: Step, read: Collection[str], seed: Mapping[str, Json]) -> dict[str, Json]:
    """A seed's fields; of a seed that will be made only later also what is read of it."""
    if not recipe.has_new_seeds(step):
        return dict(seed)
    return {name: StandIn(name) for name in set(read) - {"steps"}} | dict(seed)


def _said(name: str) -> dict[str, Json]:
    texts = {field: _quoted(f"{name}.{field}") for field in ("text", "reasoning", "reason")}
    return {**texts, "json": StandIn(f"{name}.json"), "score": 0}


def _quoted(name: str) -> str:
    return f"{OPEN}{name}{CLOSE}"
