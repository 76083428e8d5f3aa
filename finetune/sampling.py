"""A student's own answers, drawn from its whole distribution at temperature 1."""

# ruff: noqa: N802, N806 - shape suffixes

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from finetune.attention import by_mask
from finetune.drawing import drawn
from finetune.generation import BATCH_SIZE, batches, in_halves, left_padded, room
from finetune.objective import Objective
from finetune.student import Base, greedy_settings, plain


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is to be answered."""

    ids: tuple[int, ...]
    room: int  # the most tokens of its answer, at least 1
    key: str  # equal ones draw alike


@dataclass(frozen=True, slots=True)
class Sampled:
    """An answer."""

    ids: tuple[int, ...]  # with the token that ends the turn, if it came
    log_q: tuple[float, ...]  # natural logarithm of each under the student that drew it
    ended: bool  # False: cut at its room


def sample(objective: Objective, base: Base, prompts: Sequence[Prompt]) -> list[Sampled]:
    """Answers in the prompts' order; which one a prompt gets depends on its key and on the weights.

    Args:
        objective: the model that learns, and how it is computed.
        base: its tokenizer's stop tokens, and its context.
        prompts: of tokens that leave room in the context.
    """
    most = max((prompt.room for prompt in prompts), default=0)
    rooms = [room(base, len(prompt.ids), most) for prompt in prompts]
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place].ids))
    found: dict[int, Sampled] = {}
    with _answering(objective):
        for places in batches(order, rooms, most, BATCH_SIZE):
            answers = in_halves(lambda some: _sampled(objective, base, some), [prompts[place] for place in places])
            found |= zip(places, answers, strict=True)
    return [found[place] for place in range(len(prompts))]


@contextmanager
def _answering(objective: Objective) -> Iterator[None]:
    """A model in training, for the length of the context as it is used: no dropout, a cache, rows padded."""
    was_training = objective.training
    objective.eval()
    narrower = torch.autocast(objective.device.type, dtype=objective.autocast, enabled=objective.autocast is not None)
    try:
        # Not inference_mode: what a model keeps for later passes (rotary tables) must be fit for training.
        with by_mask(plain(objective.model)), torch.no_grad(), narrower:
            yield
    finally:
        objective.train(was_training)


def _sampled(objective: Objective, base: Base, prompts: Sequence[Prompt]) -> list[Sampled]:
    ids_BT, mask_BT = left_padded(base, [prompt.ids for prompt in prompts])
    draw = _Draw([prompt.key for prompt in prompts])
    out_BT = objective.model.generate(
        input_ids=ids_BT,
        attention_mask=mask_BT,
        generation_config=greedy_settings(base, max_new_tokens=max(prompt.room for prompt in prompts)),
        logits_processor=LogitsProcessorList([draw]),
    )
    answers = out_BT[:, ids_BT.shape[1] :].tolist()
    drawn = zip(prompts, answers, draw.log_q_BT.tolist(), strict=True)
    return [_cut(base, ids[: prompt.room], log_q) for prompt, ids, log_q in drawn]


def _cut(base: Base, ids: Sequence[int], log_q: Sequence[float]) -> Sampled:
    end = next((place for place, token in enumerate(ids) if token in base.stop_ids), None)
    length = len(ids) if end is None else end + 1
    return Sampled(tuple(ids[:length]), tuple(log_q[:length]), ended=end is not None)


class _Draw(LogitsProcessor):
    """Draws each row's next token and leaves the likeliest one no choice but it.

    transformers' own sampling draws for all rows from one generator, so that an answer would depend on its neighbours.

    Args:
        keys: of the rows.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._dice = [random.Random(key) for key in keys]  # noqa: S311 - no secret
        self._log_q: list[Tensor] = []

    @property
    def log_q_BT(self) -> Tensor:
        """The logarithms of what was drawn."""
        return torch.stack(self._log_q, 1).cpu()

    def __call__(self, input_ids: Any, scores: Tensor) -> Tensor:  # noqa: ARG002 - transformers'
        """The tokens' scores → 0 for the one that is drawn, else -inf."""
        log_q_BV = scores.double().log_softmax(1)
        chance_B = log_q_BV.new_tensor([dice.random() for dice in self._dice])
        drawn_B1 = drawn(log_q_BV.exp(), chance_B)[:, None]
        self._log_q.append(log_q_BV.gather(1, drawn_B1)[:, 0])
        return torch.full_like(scores, -torch.inf).scatter(1, drawn_B1, 0.0)
