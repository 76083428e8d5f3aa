"""Batched greedy generation: prompts padded on the left, each row ends at its end-of-turn token."""

# ruff: noqa: N806 - shape suffixes

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from finetune import identity, runs
from finetune.data import Message, say
from finetune.errors import BadInput
from finetune.rendering import Renderer
from finetune.student import Base, greedy_settings, load_student

TALK_EVERY_S = 5.0
BATCH_SIZE = 32

Numbered = tuple[int, "Answer"]
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model wrote."""

    text: str
    finished: bool  # False: cut at the token limit
    tokens: int  # with the one that ends the turn


def generate(run: str | Path, prompts: Sequence[str | Sequence[Message]], *, max_new_tokens: int = 256) -> list[str]:
    """Asks a trained student.

    Args:
        run: a finished run's folder.
        prompts: user messages, or whole conversations that await the assistant's turn.
        max_new_tokens: bound on each answer.

    Raises:
        BadInput: the run is not finished, the model cannot be loaded, or a prompt is none that it could answer.
    """
    folder = Path(run)
    facts, config = runs.read_finished(folder)
    identity.require_unchanged(folder, facts.base_sha256, config.model)
    turns = [_turns(number, prompt) for number, prompt in enumerate(prompts, start=1)]
    base, model = load_student(folder, config)
    renderer = Renderer(base.tokenizer, base.stop_ids)
    ids = [renderer.prompt_ids(messages) for messages in turns]
    for number, prompt in enumerate(ids, start=1):
        if room(base, len(prompt), max_new_tokens) <= 0:
            raise BadInput(
                f"prompt {number}: {len(prompt)} tokens, and the model's context is {base.context}; shorten it"
            )
    return [answer.text for answer in greedy(model, base, renderer, ids, max_new_tokens=max_new_tokens)]


def _turns(number: int, prompt: str | Sequence[Message]) -> Sequence[Message]:
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    if not turns or turns[-1]["role"] == "assistant":
        raise BadInput(f"prompt {number}: nothing awaits an answer; end it with a user's message")
    return turns


def greedy(
    model: Any,
    base: Base,
    renderer: Renderer,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    batch_size: int = BATCH_SIZE,
) -> list[Answer]:
    """Answers in the prompts' order; as `greedy_batches`."""
    found = greedy_batches(model, base, renderer, prompts, max_new_tokens=max_new_tokens, batch_size=batch_size)
    answers = dict(pair for batch in found for pair in batch)
    return [answers[place] for place in range(len(prompts))]


def greedy_batches(
    model: Any,
    base: Base,
    renderer: Renderer,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    batch_size: int = BATCH_SIZE,
    label: str = "generating",
) -> Iterator[list[Numbered]]:
    """Answers with their prompts' places, batch by batch; prompts of like length share one.

    Args:
        model: the base or adapted model.
        base: its tokenizer, stop tokens and device.
        renderer: takes thoughts out of the answers.
        prompts: token ids, unpadded. One that fills the model's context is answered with nothing, unfinished.
        max_new_tokens: bound on each answer, as the model's context is.
        batch_size: prompts at once; fewer where the memory of a GPU does not suffice.
        label: what the progress line calls this.
    """
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    rooms = [room(base, len(prompt), max_new_tokens) for prompt in prompts]
    if full := sum(left <= 0 for left in rooms):
        say(f"{label}: {full} of {len(prompts)} prompts fill the model's context of {base.context} tokens: no answer")
    done, talked = 0, time.monotonic()
    for places in batches(order, rooms, max_new_tokens, batch_size):
        left = rooms[places[0]]
        if left > 0:
            answers = _answers(model, base, renderer, [prompts[place] for place in places], left)
        else:
            answers = [Answer(text="", finished=False, tokens=0)] * len(places)
        done += len(places)
        yield [*zip(places, answers, strict=True)]
        if time.monotonic() - talked >= TALK_EVERY_S:
            talked = time.monotonic()
            say(f"{label}: {done}/{len(prompts)}")


def batches(order: Sequence[int], rooms: Sequence[int], most: int, batch_size: int) -> Iterator[list[int]]:
    """Places that are answered together: all with the same room, as one near the context's end would cut the others."""
    roomy = [place for place in order if rooms[place] == most]
    for start in range(0, len(roomy), batch_size):
        yield roomy[start : start + batch_size]
    for place in order[len(roomy) :]:
        yield [place]


def room(base: Base, prompt_tokens: int, max_new_tokens: int) -> int:
    """How many tokens may be generated after a prompt of so many."""
    return max_new_tokens if base.context is None else min(max_new_tokens, base.context - prompt_tokens)


def in_halves(work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]) -> list[Result]:
    """What `work` makes of all items at once or, where a GPU's memory does not hold them, of fewer at a time.

    Raises:
        BadInput: it does not hold a single one.
    """
    try:
        return work(items)
    except torch.cuda.OutOfMemoryError:
        if len(items) == 1:
            raise BadInput("the GPU's memory does not hold one prompt with its answer; give fewer new tokens") from None
    half = len(items) // 2
    return in_halves(work, items[:half]) + in_halves(work, items[half:])


def left_padded(base: Base, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """ids_BT and mask_BT on the model's device; every row's last token is last.

    transformers counts positions from the mask.
    """
    longest = max(len(prompt) for prompt in prompts)
    ids_BT = torch.full((len(prompts), longest), base.pad_id)
    mask_BT = torch.zeros((len(prompts), longest), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids_BT[row, longest - len(prompt) :] = torch.tensor(prompt)
        mask_BT[row, longest - len(prompt) :] = 1
    return ids_BT.to(base.device), mask_BT.to(base.device)


def _answers(
    model: Any, base: Base, renderer: Renderer, prompts: Sequence[Sequence[int]], max_new_tokens: int
) -> list[Answer]:
    @torch.inference_mode()
    def generated(prompts: Sequence[Sequence[int]]) -> list[Answer]:
        ids_BT, mask_BT = left_padded(base, prompts)
        settings = greedy_settings(base, max_new_tokens=max_new_tokens)
        out_BT = model.generate(input_ids=ids_BT, attention_mask=mask_BT, generation_config=settings)
        return [_answer(base, renderer, row) for row in out_BT[:, ids_BT.shape[1] :].tolist()]

    return in_halves(generated, prompts)


def _answer(base: Base, renderer: Renderer, ids: list[int]) -> Answer:
    end = next((place for place, token in enumerate(ids) if token in base.stop_ids), None)
    text = renderer.spoken(base.tokenizer.decode(ids[:end], skip_special_tokens=True))
    return Answer(text=text, finished=end is not None, tokens=len(ids) if end is None else end + 1)
