"""What one step of a recipe asks and costs, as far as it can be foreseen from some of its seeds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from harvester import expected_logprobs
from harvester.budget import worst_case_tokens
from harvester.expected_logprobs import LogprobsSize
from harvester.foreseeing import SHOWN, foreseen, new_seeds_at_least_and_most
from harvester.modes import Load, Mode, Range, price_at
from harvester.pricing import usd
from harvester.prompting import Prompter
from harvester.recipe import SEEDS, Recipe, Step
from harvester.records import Message, Seed

LOW_BYTES_PER_TOKEN = 5
"""English has four to five bytes a token: the low end of a guess."""
LOW_OUTPUT_SHARE = 0.1
"""Short jobs end far below max_tokens."""
LOW_ACCEPTED_SHARE = 0.3
"""Of the rows that a later step could read: the low end of a guess."""


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
    usd: tuple[float, float] | None  # in its teacher's mode; None without max_tokens or a price
    prompts: tuple[list[Message], ...]  # the first few, rendered; stand-ins for what is not answered yet
    logprobs: LogprobsSize | None  # None where it asks for none

    @property
    def load(self) -> Load:
        """What its teacher is asked."""
        least, most = self.output_tokens or (0, 0)
        return Load(self.requests, (self.input_tokens[0] + least, self.input_tokens[1] + most))


@dataclass(slots=True)
class Asking:
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


def sized(recipe: Recipe, step: Step, sums: Mapping[str, Asking]) -> StepEstimate:
    """A step's part, without its price."""
    its = sums[step.name]
    rows = rows_of(recipe, step, its.seeds)
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
    return StepEstimate(
        name=step.name,
        kind=step.kind,
        of=recipe.read_by(step),
        teacher=recipe.teacher_name(step),
        requests=rows,
        input_tokens=(least_input, most_input),
        output_tokens=output,
        usd=None,
        prompts=tuple(its.prompts),
        logprobs=expected_logprobs.size(recipe, step, output),
    )


def priced(recipe: Recipe, step: StepEstimate, mode: Mode) -> StepEstimate:
    """The same with what it costs in its teacher's mode, where that is known."""
    price = price_at(recipe.asked_by(recipe.by_name[step.name]), mode)
    if price is None or step.output_tokens is None:
        return step
    (least_in, most_in), (least_out, most_out) = step.input_tokens, step.output_tokens
    return replace(step, usd=(usd(price.cost_nusd(least_in, least_out)), usd(price.cost_nusd(most_in, most_out))))


def rows_of(recipe: Recipe, step: Step, seeds: int) -> Range:
    """How many requests a step makes, at least and at most."""
    read = recipe.read_by(step)
    if read == SEEDS:
        return seeds * step.samples, seeds * step.samples
    parent = recipe.by_name[read]
    low, high = rows_of(recipe, parent, seeds)
    if recipe.competes(parent):  # one of each group goes on
        competing = recipe.answered_by(parent).samples
        low, high = low // competing, high // competing
    if parent.kind == "expand":
        least, most = new_seeds_at_least_and_most(recipe.demands(parent).output)
        low, high = low * least, high * most
    return int(low * LOW_ACCEPTED_SHARE) * step.samples, high * step.samples
