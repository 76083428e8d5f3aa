"""What a recipe will ask and cost, before a cent is spent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from harvester import expected_logprobs
from harvester.foreseeing import SHOWN, render_student
from harvester.modes import Chosen, Load, Mode, Range, by_teacher, chosen, terms_of
from harvester.prompting import Prompter
from harvester.recipe import SEEDS, Recipe
from harvester.records import Message
from harvester.secrets_in_seeds import Scan, Secret
from harvester.seed_fields import KindFields, require_fields
from harvester.seeds import read_seeds, telling_where
from harvester.seeds_in_common import InCommon
from harvester.step_estimates import Asking, StepEstimate, priced, rows_of, sized
from harvester.templating import student_template

SAMPLED = 200
"""Seeds that tell how large the others' requests are, where all of them would take too long to render."""

N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True)
class ModeEstimate:
    """How one teacher is asked, and for what."""

    teacher: str
    mode: Mode
    why: str | None  # where the recipe says `auto`
    hours: tuple[float, float] | None  # that asking one by one takes at its limits; None: they are not stated
    usd: tuple[float, float] | None
    price_share: float  # of the usual price


@dataclass(frozen=True, slots=True)
class Estimate:
    """Requests, tokens and dollars. Low is a guess; high is passed by retries, second attempts and long lists only."""

    seeds: int
    requests: int  # at most
    input_tokens: Range
    output_tokens: Range | None
    usd: tuple[float, float] | None
    prompts: tuple[list[Message], ...]  # of the first step
    steps: tuple[StepEstimate, ...]
    modes: tuple[ModeEstimate, ...]  # of each teacher
    secrets: tuple[Secret, ...]  # in the prompts; `secrets_in_seeds.require_none` refuses them
    warnings: tuple[str, ...]  # what would spoil the dataset, though it can be collected


def estimate(recipe: Recipe, mode: Mode | None = None) -> Estimate:
    """Render every seed, for every step as far as it can be foreseen, and add up; no network, no store.

    The student's view is rendered too: what would fail at export is better known before the teacher is paid.

    Args:
        recipe: what would be asked.
        mode: in which, whatever the recipe says of its teachers.

    Raises:
        BadInput: a seed, a template or a verifier's source is wrong.
    """
    sums = {step.name: Asking(Prompter(recipe, step)) for step in recipe.steps}
    seeds, splits, scan = 0, set[str](), Scan(recipe)
    student, in_common, kinds = student_template(recipe), InCommon(recipe), KindFields(recipe)
    for position, seed in enumerate(read_seeds(recipe)):
        seeds += 1
        if seed.split not in splits:
            splits.add(seed.split)
            require_fields(recipe, seed)
        in_common.look(seed)
        kinds.look(seed)
        with telling_where(recipe, position):
            for step in recipe.steps:
                messages = sums[step.name].add(recipe, step, seed)
                if recipe.read_by(step) == SEEDS:
                    scan.look(seed, messages)
            if student and (len(recipe.steps) == 1 or seeds <= SHOWN):
                render_student(recipe, student, seed)
    kinds.require()
    steps, modes = _in_modes(recipe, [sized(recipe, step, sums) for step in recipe.steps], mode)
    return Estimate(
        seeds=seeds,
        requests=sum(step.requests[1] for step in steps),
        input_tokens=_added([step.input_tokens for step in steps]) or (0, 0),
        output_tokens=_added([step.output_tokens for step in steps]),
        usd=_added([step.usd for step in steps]),
        prompts=steps[0].prompts,
        steps=steps,
        modes=modes,
        secrets=scan.found,
        warnings=(*in_common.warnings, *expected_logprobs.warnings(recipe)),
    )


def _in_modes(
    recipe: Recipe, sizes: Sequence[StepEstimate], mode: Mode | None
) -> tuple[tuple[StepEstimate, ...], tuple[ModeEstimate, ...]]:
    """The steps' parts at the prices of their teachers' modes, and these."""
    how = chosen(recipe, by_teacher((step.teacher, step.load) for step in sizes), mode)
    steps = tuple(priced(recipe, step, how[step.teacher].mode) for step in sizes)
    return steps, tuple(_in_mode(recipe, its, steps) for its in how.values())


def _in_mode(recipe: Recipe, its: Chosen, steps: Sequence[StepEstimate]) -> ModeEstimate:
    cost = _added([step.usd for step in steps if step.teacher == its.teacher])
    share = terms_of(recipe.asked_teachers[its.teacher]).price if its.mode == "batch" else 1.0
    return ModeEstimate(its.teacher, its.mode, its.why, its.hours, cost, share)


def loads_left(recipe: Recipe, rows: Mapping[str, tuple[int, int]]) -> dict[str, Load]:
    """What each teacher is still to be asked, by the size of the first seeds' requests.

    Args:
        recipe: what is asked.
        rows: step → how many rows of it the store has, and how many of these are open.

    Raises:
        BadInput: a seed or a template is wrong.
    """
    sums = {step.name: Asking(Prompter(recipe, step)) for step in recipe.steps}
    for position, seed in enumerate(islice(read_seeds(recipe), SAMPLED)):
        with telling_where(recipe, position):
            for step in recipe.steps:
                sums[step.name].add(recipe, step, seed)
    root = recipe.readers(SEEDS)[0]
    seeds = rows.get(root.name, (0, 0))[0] // root.samples
    return by_teacher(_load_left(recipe, sized(recipe, step, sums), rows, seeds) for step in recipe.steps)


def _load_left(
    recipe: Recipe, sampled: StepEstimate, rows: Mapping[str, tuple[int, int]], seeds: int
) -> tuple[str, Load]:
    """A step's teacher and what it is still asked by the step, as a multiple of what a sample of its rows takes."""
    stored, is_open = rows.get(sampled.name, (0, 0))
    bounds = rows_of(recipe, recipe.by_name[sampled.name], seeds)
    low, high = (max(is_open, bound - (stored - is_open)) for bound in bounds)
    least, most = (
        left * tokens // max(requests, 1)
        for left, tokens, requests in zip((low, high), sampled.load.tokens, sampled.requests, strict=True)
    )
    return sampled.teacher, Load((low, high), (least, most))


def _added(ranges: Sequence[tuple[N, N] | None]) -> tuple[N, N] | None:
    known = [one for one in ranges if one is not None]
    if len(known) < len(ranges):
        return None
    lows, highs = zip(*known, strict=True)
    return sum(lows), sum(highs)
