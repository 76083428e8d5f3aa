"""What a recipe's logprobs will take in the store, and what training can do with them: known before a cent is spent."""

from collections.abc import Iterator
from dataclasses import dataclass

from harvester.prompting import sampling_fields
from harvester.pure_sampling import EVERYWHERE, NEUTRAL, SAMPLED_PURELY
from harvester.recipe import Recipe, Step
from harvester.teachers.openai_compat import MAX_BODY_BYTES

SAMPLED_BYTES, LISTED_BYTES = 19, 22
"""In the store, per token of an answer: for the sampled token, and for each that is listed beside it."""
RAW_SAMPLED_BYTES, RAW_LISTED_BYTES = 330, 85
"""As a stream brings them, uncompressed. All four are measured: benchmarks/logprobs_storage.py, LOG.md."""
ANSWERS = 1000
"""Answers that a size is told for."""


@dataclass(frozen=True, slots=True)
class LogprobsSize:
    """What the logprobs of one step take in the store; sizes in megabytes of a million bytes."""

    step: str
    listed: int  # tokens at each place
    tokens: int  # of an answer, at most; 1,000 where the recipe bounds none
    mb_per_1000: float  # answers of so many tokens
    mb: tuple[float, float] | None  # for the recipe; None without max_tokens


def size(recipe: Recipe, step: Step, output_tokens: tuple[int, int] | None) -> LogprobsSize | None:
    """The size of a step's logprobs, of its output tokens in all; None where it asks for none."""
    sampling = recipe.asked_by(step).sampling
    if sampling.logprobs is None:
        return None
    per_token = SAMPLED_BYTES + sampling.logprobs * LISTED_BYTES
    tokens = sampling.max_tokens or 1000
    of_recipe = output_tokens and (output_tokens[0] * per_token / 1e6, output_tokens[1] * per_token / 1e6)
    return LogprobsSize(step.name, sampling.logprobs, tokens, ANSWERS * tokens * per_token / 1e6, of_recipe)


def warnings(recipe: Recipe) -> Iterator[str]:
    """What stands between a recipe's logprobs and their best use, a line each; none of it stops collecting."""
    asking = [step for step in recipe.steps if recipe.asked_by(step).sampling.logprobs is not None]
    yield from (problem for step in asking if (problem := _too_large(recipe, step)))
    if recipe.answer_step in asking and (reasons := list(_why_no_sample(recipe))):
        yield (
            f"{_place(recipe, recipe.answer_step)}: {'; '.join(reasons)}: training on soft labels takes --loss bucket,"
            " which is biased in what is not listed, and not --loss sampled, which is not"
        )
    if others := [step.name for step in asking if step is not recipe.answer_step]:
        yield (
            f"logprobs of step {', '.join(others)} are stored and go into no dataset; state"
            " `sampling: {logprobs: null}` in the step"
        )


def _place(recipe: Recipe, step: Step) -> str:
    return f"logprobs of step {step.name}" if len(recipe.steps) > 1 else "logprobs"


def _why_no_sample(recipe: Recipe) -> Iterator[str]:
    """Why the tokens of a row are no sample of what the teacher says, which the tail's correction takes them for."""
    step = recipe.answer_step
    teacher = recipe.asked_by(step)
    sent = sampling_fields(teacher)
    wanted = SAMPLED_PURELY if teacher.profile.samplers else EVERYWHERE
    if unstated := [
        f"{name}: {SAMPLED_PURELY[name][0]}" for name in wanted if sent.get(name) not in SAMPLED_PURELY[name]
    ]:
        yield f"its sampling does not state {', '.join(unstated)}"
    if penalties := sorted(name for name, neutral in NEUTRAL.items() if sent.get(name, neutral[0]) not in neutral):
        yield f"its sampling has {', '.join(penalties)}"
    if "seed" in sent:
        yield "its sampling states a seed, so that all prompts are answered by one and the same chance"
    if picking := list(_what_picks(recipe, step)):
        yield f"{', '.join(picking)} {'picks' if len(picking) == 1 else 'pick'} among its answers"


def _what_picks(recipe: Recipe, step: Step) -> Iterator[str]:
    if step.verify:
        yield "verify"
    if step.output:
        yield "output"
    if recipe.competes(step):
        yield f"select: {recipe.selects(step)}"
    if any(one.judges for one in recipe.steps):
        yield "a judge"


def _too_large(recipe: Recipe, step: Step) -> str | None:
    sampling = recipe.asked_by(step).sampling
    per_token = RAW_SAMPLED_BYTES + (sampling.logprobs or 0) * RAW_LISTED_BYTES
    fitting = MAX_BODY_BYTES // per_token
    if sampling.max_tokens is None or sampling.max_tokens <= fitting:
        return None
    most = fitting // 1000 * 1000
    return (
        f"{_place(recipe, step)}: an answer of max_tokens: {sampling.max_tokens} may come with more than the"
        f" {MAX_BODY_BYTES >> 20} MiB that a reply may have, and be lost; state at most {most}, or list fewer tokens"
    )
