"""How likely base and student find the teacher's own answers to held-out prompts, and how near they are to its lists.

This measures texts that nothing can judge. Nothing is generated: a model is given prompt and answer and asked for each
of the answer's tokens. Less the teacher's own cross-entropy on what it sampled, a student's estimates the divergence
of their texts.
"""

# ruff: noqa: N803, N806 - shape suffixes

import gc
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import FiniteFloat, PositiveInt
from torch import Tensor

from finetune.alignment import Aligned
from finetune.batching import padded_passes
from finetune.collate import Batch, Soft, padded, row_of
from finetune.config import Loss, RunConfig
from finetune.data import Row, say
from finetune.errors import BadInput
from finetune.listings import ABSENT
from finetune.losses import bucket, hard, supervised
from finetune.losses.fused import recomputed
from finetune.notes import HarvestNotes
from finetune.placing import END, UNKNOWN, place, without_first_space
from finetune.rendering import Example, Rendered, Renderer
from finetune.soft_labels import teach
from finetune.student import Base, hidden_states, load_base, load_student, output_head, stated_dtype

CUT_OFF = frozenset({"length", "content_filter"})
"""Why an answer's end is not the teacher's: `finish_reason`."""
TALK_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Likelihood:
    """What a model makes of one answer."""

    nats: FiniteFloat  # -log of the answer's likelihood, without the token that ends the turn
    end_nats: FiniteFloat | None  # of that token; None where the teacher did not end the turn or its API left it out
    tokens: PositiveInt  # with that token
    divergence: FiniteFloat | None = None  # nats: mean of `losses.bucket` over the tokens at which the API listed any
    agreement: FiniteFloat | None = None  # share of those at which the model's likeliest token is the teacher's

    @property
    def total(self) -> float:
        """Nats of the answer and the end of its turn."""
        return self.nats + (self.end_nats or 0.0)

    def without_end(self) -> "Likelihood":
        """Of the answer alone."""
        return self if self.end_nats is None else replace(self, end_nats=None, tokens=self.tokens - 1)


@dataclass(frozen=True, slots=True)
class Measured:
    """One of the teacher's answers to a held-out prompt."""

    row_id: str
    seed_id: str
    size: PositiveInt  # bytes of the answer
    models: Mapping[str, Likelihood]  # base, student and, where the API told all of it, teacher


def measure(
    folder: Path, config: RunConfig, rows: Sequence[Row], notes: HarvestNotes
) -> tuple[list[Measured], Mapping[str, int]]:
    """Asks student and base of a run for the likelihood of each row's answer.

    Args:
        folder: the run's.
        config: the run's.
        rows: held-out ones.
        notes: the dataset's.

    Returns:
        What was found of each row that can be measured, and how many cannot, by reason.

    Raises:
        BadInput: a model cannot be loaded, or gives no finite number.
    """
    base, model = load_student(folder, config)
    taken, size = as_said(base, rows, notes), config.batching.batch_size
    of_student = likelihoods(model, base, taken.examples, batch_size=size, label="student")
    off: AbstractContextManager[Any] = nullcontext()
    if config.method == "full":
        del base, model  # before the next one is loaded: two may not fit
        gc.collect()
        base = load_base(config.model, stated_dtype(config))
        model = base.model
    else:
        off = model.disable_adapter()  # the very weights that the student sits on
    with off:
        of_base = likelihoods(model, base, taken.examples, batch_size=size, label="base")
    found = []
    for row, before, mine in zip(taken.rows, of_base, of_student, strict=True):
        theirs = of_teacher(row)
        models = {"base": before, "student": mine, **({} if theirs is None else {"teacher": theirs})}
        found.append(Measured(row.row_id, row.seed_id, len(row.answer.encode()), models))
    return found, taken.dropped


def as_said(base: Base, rows: Sequence[Row], notes: HarvestNotes) -> Rendered:
    """The rows for a model, each with the teacher's lists where its tokens are the model's.

    An answer that was cut off has no end of turn to be asked for. Rows that the model's context does not hold, among
    others, are left out and counted.
    """
    found = Renderer(base.tokenizer, base.stop_ids).rows(rows, base.context or sys.maxsize)
    whole = [row.finish_reason not in CUT_OFF for row in found.rows]
    examples = [one if ended else _cut(one) for one, ended in zip(found.examples, whole, strict=True)]
    taught = teach(replace(found, examples=examples), base, Loss(), notes).examples
    return replace(found, examples=[one if _same(one) else replace(one, soft=None) for one in taught])


@torch.inference_mode()
def likelihoods(
    model: Any, base: Base, examples: Sequence[Example], *, batch_size: int, label: str
) -> list[Likelihood]:
    """What a model makes of each answer.

    Args:
        model: the base or adapted model.
        base: its stop tokens, padding and device.
        examples: prompts with their answers.
        batch_size: rows of a forward pass; those of like length share one.
        label: what messages call this.

    Raises:
        BadInput: a likelihood is no finite number.
    """
    found: dict[int, Likelihood] = {}
    talked = time.monotonic()
    for places in padded_passes(sorted(range(len(examples)), key=lambda at: examples[at].length), batch_size):
        batch = padded([examples[at] for at in places], base.pad_id).to(base.device)
        found |= zip(places, _of_pass(model, batch, base.stop_ids), strict=True)
        if time.monotonic() - talked >= TALK_EVERY_S:
            talked = time.monotonic()
            say(f"{label}: {len(found)}/{len(examples)}")
    if not all(math.isfinite(one.total) and math.isfinite(one.divergence or 0.0) for one in found.values()):
        raise BadInput(f"{label}: the likelihood of an answer is no finite number; train another with --dtype float32")
    return [found[at] for at in range(len(examples))]


def of_teacher(row: Row) -> Likelihood | None:
    """The teacher's own, of what it sampled.

    None where the API did not give every token's log-probability, or they spell another text than the answer: white
    space was stripped from its end, somebody edited it.
    """
    answer, said = row.answer.encode(), row.logprobs
    if not said:
        return None
    told = without_first_space(said, answer)
    placed = place([token["bytes"] for token in told], answer)
    logprobs = [float(token["logprob"]) for token in told]
    if placed is None or any(logprob <= UNKNOWN for logprob in logprobs):
        return None
    ended = placed[0][-1] == END
    end_nats = -logprobs.pop() if ended else None
    return Likelihood(-sum(logprobs), end_nats, len(logprobs) + ended)


def _cut(example: Example) -> Example:
    """Without the end of the turn, which stands last."""
    return replace(example, ids=example.ids[:-1], labels=example.labels[:-1])


def _same(example: Example) -> bool:
    return isinstance(example.soft, Aligned) and example.soft.same


def _of_pass(model: Any, batch: Batch, stop_ids: Sequence[int]) -> Iterator[Likelihood]:
    """What is found of each row of a pass."""
    hidden_ND, label_N = supervised(hidden_states(model, batch), batch.labels_BT)
    none_N0 = label_N.new_zeros(len(label_N), 0)
    lists = (batch.soft.ids_NK, batch.soft.logp_NK) if isinstance(batch.soft, Soft) else (none_N0, none_N0.float())
    tokens_N4 = _of_tokens(output_head(model), hidden_ND, label_N, *lists).cpu().double()
    lengths = row_of(batch).bincount(minlength=batch.rows).tolist()
    for part_N4, label in zip(torch.split(tokens_N4, lengths), torch.split(label_N.cpu(), lengths), strict=True):
        yield _likelihood(part_N4, ended=int(label[-1]) in stop_ids)


def _of_tokens(head: Any, hidden_ND: Tensor, label_N: Tensor, ids_NK: Tensor, logp_NK: Tensor) -> Tensor:
    """tokens_N4: cross-entropy, divergence, whether the likeliest token is the teacher's, whether it listed any."""

    def of_chunk(hidden_ND: Tensor, label_N: Tensor, ids_NK: Tensor, logp_NK: Tensor) -> Tensor:
        z_NV = head(hidden_ND)
        given = ids_NK, logp_NK, label_N
        alike_N = (ids_NK[:, :1] == z_NV.argmax(1, keepdim=True)).any(1)  # the likeliest are listed first
        return torch.stack([hard(z_NV, *given), bucket(z_NV, *given), alike_N, (ids_NK != ABSENT).any(1)], 1)

    return recomputed(of_chunk, head, hidden_ND, label_N, ids_NK, logp_NK)


def _likelihood(tokens_N4: Tensor, *, ended: bool) -> Likelihood:
    """Of one row's tokens."""
    nats_N, divergence_N, alike_N, listed_N = tokens_N4.T
    listed, end_nats = int(listed_N.sum()), nats_N[-1].item() if ended else 0.0
    return Likelihood(
        nats=nats_N.sum().item() - end_nats,
        end_nats=end_nats if ended else None,
        tokens=len(nats_N),
        divergence=divergence_N.sum().item() / listed if listed else None,
        agreement=alike_N.sum().item() / listed if listed else None,
    )
