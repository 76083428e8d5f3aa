"""Batched greedy generation: prompts padded on the left, each row ends at its end-of-turn token."""

# ruff: noqa: N806 - shape suffixes

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from finetune import runs
from finetune.config import read_config
from finetune.data import Message, say
from finetune.rendering import Renderer
from finetune.student import Base, greedy_settings, load_adapter, load_base

TALK_EVERY_S = 5.0
BATCH_SIZE = 32


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model wrote."""

    text: str
    finished: bool  # False: cut at the token limit


def generate(run: str | Path, prompts: Sequence[str | Sequence[Message]], *, max_new_tokens: int = 256) -> list[str]:
    """Asks a trained student.

    Args:
        run: a finished run's folder.
        prompts: user messages, or whole conversations that await the assistant's turn.
        max_new_tokens: bound on each answer.

    Raises:
        BadInput: the run is not finished, or the model cannot be loaded.
    """
    folder = Path(run)
    runs.read_facts(folder)
    base = load_base(read_config(folder / runs.CONFIG).model)
    model = load_adapter(base.model, folder / runs.ADAPTER)
    renderer = Renderer(base.tokenizer, base.stop_ids)
    turns = [[{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt for prompt in prompts]
    ids = [renderer.prompt_ids(messages) for messages in turns]
    return [answer.text for answer in greedy(model, base, ids, max_new_tokens=max_new_tokens)]


def greedy(
    model: Any,
    base: Base,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    batch_size: int = BATCH_SIZE,
    label: str = "generating",
) -> list[Answer]:
    """Answers in the prompts' order; prompts of like length share a batch.

    Args:
        model: the base or adapted model.
        base: its tokenizer, stop tokens and device.
        prompts: token ids, unpadded.
        max_new_tokens: bound on each answer.
        batch_size: prompts at once.
        label: what the progress line calls this.
    """
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    answers: dict[int, Answer] = {}
    talked = time.monotonic()
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        found = _batch(model, base, [prompts[place] for place in places], max_new_tokens)
        answers.update(zip(places, found, strict=True))
        if time.monotonic() - talked >= TALK_EVERY_S:
            talked = time.monotonic()
            say(f"{label}: {len(answers)}/{len(prompts)}")
    return [answers[place] for place in range(len(prompts))]


@torch.inference_mode()
def _batch(model: Any, base: Base, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[Answer]:
    longest = max(len(prompt) for prompt in prompts)
    # Left padding keeps every row's last prompt token last; transformers counts positions from the mask.
    ids_BT = torch.full((len(prompts), longest), base.pad_id)
    mask_BT = torch.zeros((len(prompts), longest), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids_BT[row, longest - len(prompt) :] = torch.tensor(prompt)
        mask_BT[row, longest - len(prompt) :] = 1
    settings = greedy_settings(base, max_new_tokens=max_new_tokens)
    out_BT = model.generate(
        input_ids=ids_BT.to(base.device), attention_mask=mask_BT.to(base.device), generation_config=settings
    )
    return [_answer(base, row) for row in out_BT[:, longest:].tolist()]


def _answer(base: Base, ids: list[int]) -> Answer:
    end = next((place for place, token in enumerate(ids) if token in base.stop_ids), None)
    return Answer(text=base.tokenizer.decode(ids[:end], skip_special_tokens=True), finished=end is not None)
