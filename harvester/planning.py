"""Recipe → planned rows in the store. Renders only what changed since the newest plan: nothing, as a rule."""

from collections.abc import Iterable, Iterator
from uuid import uuid4

from harvester import prompting
from harvester.errors import BadInput
from harvester.judging import rules_digest
from harvester.prompting import Prompter
from harvester.recipe import SEEDS, Recipe, Step
from harvester.records import Asked, Json, Origin, digest
from harvester.seeds import files_digest, read_seeds, telling_where
from harvester.store import StoreWriter
from harvester.store.plans import New

STEPS = "steps"
"""What templates call earlier steps by."""
VERSION = 1
"""Part of the fingerprint: raise it when the same recipe would now render differently."""


def ensure_plan(store: StoreWriter, recipe: Recipe) -> int:
    """Id of the plan for the recipe as it stands now; made if templates, seeds or sampling changed.

    Raises:
        BadInput: a seed or template is wrong; the store is left as it was.
    """
    return ensure_planned(store, recipe, plan_fingerprint(recipe), planned(recipe))


def ensure_planned(store: StoreWriter, recipe: Recipe, fingerprint: str, planned: Iterable[New]) -> int:
    """Id of the recipe's plan with this fingerprint, if it is the newest one; else of a new plan of these seeds."""
    current = store.current_plan(recipe.name)
    if current and current[1] == fingerprint:
        return current[0]
    return store.add_plan(recipe.name, fingerprint, recipe.text, planned)


def planned(recipe: Recipe) -> Iterator[New]:
    """Every seed with the requests of the steps that read seeds, rendered as the seeds are read."""
    prompters = [(step, Prompter(recipe, step)) for step in recipe.readers(SEEDS)]
    several = len(recipe.steps) > 1
    for position, seed in enumerate(read_seeds(recipe)):
        if several and STEPS in seed.data:
            raise BadInput(
                f"{recipe.path}: seeds: their field {STEPS!r} is what templates see of earlier steps; rename"
                f" it (columns: {{new: {STEPS}}})"
            )
        with telling_where(recipe, position):
            asked = [
                Asked(step.name, recipe.teacher_name(step), prompter.requests(seed.data))
                for step, prompter in prompters
            ]
        yield seed, Origin(position), asked


def plan_fingerprint(recipe: Recipe) -> str:
    """Digest of everything a plan is rendered from.

    Rules are in it where they decide what is asked next; limits are not, they ask nobody anew. Where Python functions
    render, no digest tells what they would render today: each has one of its own, and is rendered again.
    """
    if any(callable(step.prompt) for step in recipe.steps):
        return uuid4().hex
    steps: list[Json] = [_of_step(recipe, step) for step in recipe.steps]
    first = recipe.steps[0]
    facts = {
        "version": VERSION,
        "teacher": prompting.teacher_identity(recipe.asked_by(first)),
        "model": recipe.asked_by(first).model,
        "sampling": prompting.sampling_fields(recipe.asked_by(first)),
        "step": [first.name, first.prompt, first.samples],
        "templates": prompting.templates_digest(recipe),
        "seeds": files_digest(recipe),
    }
    # A recipe of one plain step has the fingerprint that it had before there were others.
    plain = len(recipe.steps) == 1 and first.output is None and first.kind == "generate"
    return digest(facts if plain else facts | {"steps": steps})


def _of_step(recipe: Recipe, step: Step) -> Json:
    teacher = recipe.asked_by(step)
    leads_on = bool(recipe.readers(step.name)) or step.repairs
    return {
        "name": step.name,
        "of": recipe.read_by(step),
        "prompt": step.prompt,
        "samples": step.samples,
        "teacher": [recipe.teacher_name(step), prompting.teacher_identity(teacher), teacher.model],
        "sampling": prompting.sampling_fields(teacher),
        "form": recipe.demands(step).output,
        "rules": [recipe.selects(step), rules_digest(recipe, step)] if leads_on else None,
    }
