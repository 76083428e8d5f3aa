"""A recipe: YAML → validated, frozen models. Every mistake becomes one line with file, field and mend."""

from harvester.recipe.curation import ANSWER, Benchmark, Curate
from harvester.recipe.recipe import JUDGE, TEACHER, Demands, Recipe
from harvester.recipe.steps import REPAIR, SEEDS, Selection, Step
from harvester.recipe.teacher import EMBEDDED, KEY_VARIABLE, Limits, PriceSpec, Sampling, Teacher
from harvester.seeds_spec import Seeds

__all__ = [
    "ANSWER",
    "EMBEDDED",
    "JUDGE",
    "KEY_VARIABLE",
    "REPAIR",
    "SEEDS",
    "TEACHER",
    "Benchmark",
    "Curate",
    "Demands",
    "Limits",
    "PriceSpec",
    "Recipe",
    "Sampling",
    "Seeds",
    "Selection",
    "Step",
    "Teacher",
]
