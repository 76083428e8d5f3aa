"""On-policy distillation: at each step the student answers the step's prompts, and a teacher scores what it said."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from finetune.config import DEFAULT_NEW_TOKENS, RunConfig
from finetune.distributed import World
from finetune.losses import size_of
from finetune.objective import Objective
from finetune.rendering import IGNORED, Example
from finetune.rollout import Rollout
from finetune.sampling import Prompt, Sampled, sample
from finetune.student import Base, output_head
from finetune.teacher_scores import Teacher


@dataclass(frozen=True, slots=True)
class _Part:
    """What one process sampled, by the rows' numbers."""

    examples: Mapping[int, Example]
    sampling_s: float
    scoring_s: float


@dataclass(frozen=True, slots=True)
class OnPolicy:
    """Gives a step's rows with what the student, as it is then, answers to their prompts.

    Which answer a row gets is a function of seed, step, row and weights, so a run that goes on samples what it would
    have sampled, and no answer is ever stored. What the dataset's own answers say does not matter.
    """

    objective: Objective
    base: Base
    teacher: Teacher
    rows: Sequence[Example]
    config: RunConfig
    world: World
    longest: int  # tokens of prompt and answer; each prompt has fewer

    def examples(self, step: int, rows: Sequence[int]) -> tuple[list[Example], Mapping[str, float]]:
        """The examples of a 0-based step, sorted by length, and what there is to note of them.

        Each process samples and scores its share of the rows; all learn from all of them as from any others.

        Raises:
            BadInput: the teacher does not score them.
            TeacherUnusable: it cannot be asked.
        """
        mine = rows[self.world.rank :: self.world.size]
        parts = self.world.exchanged(self.world.by_each(lambda: self._part(step, mine)))
        by_number = {number: example for part in parts for number, example in part.examples.items()}
        found = sorted((by_number[number] for number in rows), key=lambda example: len(example.ids))
        seconds = {
            "sampling_s": max(part.sampling_s for part in parts),
            "scoring_s": max(part.scoring_s for part in parts),
        }
        return found, _noted(found) | seconds

    def _part(self, step: int, numbers: Sequence[int]) -> _Part:
        started = time.monotonic()
        prompts = [self._prompt(step, number) for number in numbers]
        answers = sample(self.objective, self.base, prompts)
        sampled = time.monotonic()
        scores = self.teacher.score(
            [(prompt.ids + answer.ids, len(prompt.ids)) for prompt, answer in zip(prompts, answers, strict=True)],
            self.config.loss.listed,
            size_of(output_head(self.objective.model)),
        )
        scored = time.monotonic()
        examples = {
            number: _example(prompt, answer, Rollout(np.array(answer.log_q, np.float32), said, answer.ended))
            for number, prompt, answer, said in zip(numbers, prompts, answers, scores, strict=True)
        }
        return _Part(examples, sampled - started, scored - sampled)

    def _prompt(self, step: int, number: int) -> Prompt:
        example = self.rows[number]
        ids = example.ids[: next(place for place, label in enumerate(example.labels) if label != IGNORED)]
        room = min(self.config.loss.max_new_tokens or DEFAULT_NEW_TOKENS, self.longest - len(ids))
        return Prompt(ids, room, f"{self.config.training.seed}/{step}/{number}")


def _example(prompt: Prompt, answer: Sampled, rollout: Rollout) -> Example:
    """All that was sampled is learnt; one that was cut has no end of turn, and says nothing about stopping."""
    return Example(prompt.ids + answer.ids, (IGNORED,) * len(prompt.ids) + answer.ids, rollout)


def _noted(examples: Sequence[Example]) -> dict[str, float]:
    """For metrics.jsonl: KL(q‖p) in nats per token as the sampled tokens tell it, and what the answers are like."""
    rollouts = [example.soft for example in examples if isinstance(example.soft, Rollout)]
    apart = np.concatenate([one.old_log_q_N.astype(float) - one.scores.logp_N for one in rollouts])
    return {
        "reverse_kl": float(apart.mean()),
        "answer_tokens": len(apart) / len(rollouts),
        "ended": sum(one.ended for one in rollouts) / len(rollouts),
    }
