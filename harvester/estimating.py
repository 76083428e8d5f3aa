"""What a recipe will ask and cost, before a cent is spent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from harvester import expected_logprobs
from harvester.budget import worst_case_tokens
from harvester.expected_logprobs import LogprobsSize
from harvester.foreseeing import SHOWN, foreseen, new_seeds_at_least_and_most, render_student
from harvester.pricing import usd
from harvester.prompting import Prompter
from harvester.recipe import SEEDS, Recipe, Step
from harvester.records import Message, Seed
from harvester.secrets_in_seeds import Scan, Secret
from harvester.seed_fields import KindFields, require_fields
from harvester.seeds import read_seeds, telling_where
from harvester.seeds_in_common import InCommon
from harvester.templating import student_template

LOW_BYTES_PER_TOKEN = 5
"""English has four to five bytes a token: the low end of a guess."""
LOW_OUTPUT_SHARE = 0.1
"""Short jobs end far below max_tokens."""
LOW_ACCEPTED_SHARE = 0.3
"""Of the rows that a later step could read: the low end of a guess."""

Range = tuple[int, int]
N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True)
class StepEstimate:
    """One step's part."""

    name: str
    kind: str
    of: str
    teacher: str
    requests: Range
    input_tokens: Range
    output_tokens: Range | None  # None without max_tokens
    usd: tuple[float, float] | None  # None without max_tokens or a price
    prompts: tuple[list[Message], ...]  # the first few, rendered; stand-ins for what is not answered yet
    logprobs: LogprobsSize | None  # None where it asks for none


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
    secrets: tuple[Secret, ...]  # in the prompts; `secrets_in_seeds.require_none` refuses them
    warnings: tuple[str, ...]  # what would spoil the dataset, though it can be collected


def estimate(recipe: Recipe) -> Estimate:
    """Render every seed, for every step as far as it can be foreseen, and add up; no network, no store.

    The student's view is rendered too: what would fail at export is better known before the teacher is paid.

    Raises:
        BadInput: a seed, a template or a verifier's source is wrong.
    """
    sums = {step.name: _Sum(Prompter(recipe, step)) for step in recipe.steps}
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
    steps = tuple(_estimated(recipe, step, sums) for step in recipe.steps)
    return Estimate(
        seeds=seeds,
        requests=sum(step.requests[1] for step in steps),
        input_tokens=_added([step.input_tokens for step in steps]) or (0, 0),
        output_tokens=_added([step.output_tokens for step in steps]),
        usd=_added([step.usd for step in steps]),
        prompts=steps[0].prompts,
        steps=steps,
        secrets=scan.found,
        warnings=(*in_common.warnings, *expected_logprobs.warnings(recipe)),
    )


@dataclass(slots=True)
class _Sum:
    """What one step asks about the recipe's seeds, if each of them comes so far."""

    prompter: Prompter
    seeds: int = 0
    input_tokens: int = 0  # at most, of one request per seed
    prompts: list[list[Message]] = field(default_factory=list)

    def add(self, recipe: Recipe, step: Step, seed: Seed) -> list[Message]:
        """Count a seed; a step that reads others is much the same for each, and is rendered for the first few."""
        self.seeds += 1
        if recipe.read_by(step) != SEEDS and len(self.prompts) == SHOWN:
            self.input_tokens += self.input_tokens // (self.seeds - 1)
            return []
        request = foreseen(recipe, step, self.prompter, seed.data)[0]
        self.input_tokens += worst_case_tokens(request.body)[0]
        messages: list[Message] = json.loads(request.body)["messages"]
        if len(self.prompts) < SHOWN:
            self.prompts.append(messages)
        return messages


def _estimated(recipe: Recipe, step: Step, sums: Mapping[str, _Sum]) -> StepEstimate:
    its = sums[step.name]
    rows = _rows(recipe, step, its.seeds)
    # What earlier steps answer comes in again, about a token for a token.
    before = sum(recipe.asked_by(one).sampling.max_tokens or 0 for one in recipe.ancestors(step))
    most_input = rows[1] * (its.input_tokens // max(its.seeds, 1) + before)
    if recipe.read_by(step) == SEEDS:
        most_input = its.input_tokens * step.samples
    least_input = (its.input_tokens * rows[0]) // (max(its.seeds, 1) * LOW_BYTES_PER_TOKEN)
    teacher = recipe.asked_by(step)
    output = None
    if (most := teacher.sampling.max_tokens) is not None:
        output = (int(rows[0] * most * LOW_OUTPUT_SHARE), rows[1] * most)
    cost = None
    if teacher.known_price is not None and output is not None:
        low = teacher.known_price.cost_nusd(least_input, output[0])
        cost = usd(low), usd(teacher.known_price.cost_nusd(most_input, output[1]))
    return StepEstimate(
        name=step.name,
        kind=step.kind,
        of=recipe.read_by(step),
        teacher=recipe.teacher_name(step),
        requests=rows,
        input_tokens=(least_input, most_input),
        output_tokens=output,
        usd=cost,
        prompts=tuple(its.prompts),
        logprobs=expected_logprobs.size(recipe, step, output),
    )


def _rows(recipe: Recipe, step: Step, seeds: int) -> Range:
    """How many requests a step makes, at least and at most."""
    read = recipe.read_by(step)
    if read == SEEDS:
        return seeds * step.samples, seeds * step.samples
    parent = recipe.by_name[read]
    low, high = _rows(recipe, parent, seeds)
    if recipe.competes(parent):  # one of each group goes on
        competing = recipe.answered_by(parent).samples
        low, high = low // competing, high // competing
    if parent.kind == "expand":
        least, most = new_seeds_at_least_and_most(recipe.demands(parent).output)
        low, high = low * least, high * most
    return int(low * LOW_ACCEPTED_SHARE) * step.samples, high * step.samples


def _added(ranges: Sequence[tuple[N, N] | None]) -> tuple[N, N] | None:
    known = [one for one in ranges if one is not None]
    if len(known) < len(ranges):
        return None
    lows, highs = zip(*known, strict=True)
    return sum(lows), sum(highs)
