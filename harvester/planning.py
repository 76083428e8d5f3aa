"""Recipe → planned rows in the store. Renders only what changed since the newest plan: nothing, as a rule."""

from collections.abc import Iterable, Iterator, Sequence

from harvester import prompting
from harvester.prompting import Prompter
from harvester.recipe import Recipe
from harvester.records import Request, Seed, digest
from harvester.seeds import files_digest, read_seeds
from harvester.store import StoreWriter

VERSION = 1
"""Part of the fingerprint: raise it when the same recipe would now render differently."""


def ensure_plan(store: StoreWriter, recipe: Recipe) -> int:
    """Id of the plan for the recipe as it stands now; made if templates, seeds or sampling changed.

    Raises:
        BadInput: a seed or template is wrong; the store is left as it was.
    """
    return ensure_planned(store, recipe, plan_fingerprint(recipe), planned(recipe))


def ensure_planned(
    store: StoreWriter, recipe: Recipe, fingerprint: str, planned: Iterable[tuple[Seed, Sequence[Request]]]
) -> int:
    """Id of the recipe's plan with this fingerprint, if it is the newest one; else of a new plan of these seeds."""
    current = store.current_plan(recipe.name)
    if current and current[1] == fingerprint:
        return current[0]
    return store.add_plan(recipe.name, recipe.step.name, fingerprint, recipe.text, planned)


def planned(recipe: Recipe) -> Iterator[tuple[Seed, Sequence[Request]]]:
    """Every seed with its requests, rendered as the seeds are read."""
    prompter = Prompter(recipe)
    for seed in read_seeds(recipe):
        yield seed, prompter.requests(seed.data, recipe.step.samples)


def plan_fingerprint(recipe: Recipe) -> str:
    """Digest of everything a plan is rendered from; rules and limits are not in it, they ask nobody anew."""
    return digest(
        {
            "version": VERSION,
            "teacher": prompting.teacher_identity(recipe),
            "model": recipe.teacher.model,
            "sampling": prompting.sampling_fields(recipe.teacher),
            "step": [recipe.step.name, recipe.step.prompt, recipe.step.samples],
            "templates": prompting.templates_digest(recipe),
            "seeds": files_digest(recipe),
        }
    )
