"""Which rows have the teacher's probabilities, what they are at the student's tokens, and which loss they allow."""

# ruff: noqa: N806 - shape suffixes

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from finetune.alignment import Aligned, Unaligned, align, spelt
from finetune.boundaries import BIASED
from finetune.config import Loss
from finetune.data import Row
from finetune.errors import BadInput
from finetune.listings import ABSENT
from finetune.notes import HarvestNotes
from finetune.rendering import IGNORED, Example, Rendered
from finetune.student import Base
from finetune.tails import MOST_PER_REQUEST, Tails
from finetune.token_bytes import Vocabulary
from harvester.records import count_of

LISTS_PLAINLY = frozenset({"embedded", "llama.cpp"})
"""Providers that list the k likeliest tokens, whichever was sampled; of others that is not known."""
UNSPELT = "tokens_without_bytes"
"""Why no row has soft labels: the student's tokens cannot be spelt as bytes."""
BEFORE = re.compile(rb"\s*((<think>\s*)?</think>\s*)?")
"""What templates have a student say before its answer."""


@dataclass(frozen=True, slots=True)
class Taught:
    """The examples of a split with what the teacher said of them."""

    examples: list[Example]
    rows: int = 0  # that have soft labels
    hard_rows: Mapping[str, int] = field(default_factory=dict)  # learnt by their label alone, by reason
    other_tokens: int = 0  # rows whose tokens are not the teacher's
    listed: int = 0  # positions with a list
    rest: float = 0.0  # R, the probability that no listed token has: the mean over those positions
    chunks: int = 0  # pieces that are learnt by their likelihood
    in_chunks: int = 0  # tokens in them
    no_tail: str | None = None  # why the sampled token says nothing of the tail; None where it does in every row

    def facts(self, loss: Loss) -> dict[str, Any]:
        """For run.json; nothing where no row has soft labels."""
        if not self.rows:
            return {}
        return {
            "loss": loss.of_lists,
            "rows": self.rows,
            "hard_rows": dict(self.hard_rows),
            "other_tokens": self.other_tokens,
            "positions": self.listed,
            "rest": round(self.rest, 6),
            "chunks": self.chunks,
            "in_chunks": self.in_chunks,
            **({"no_tail": self.no_tail} if loss.kind == "sampled" else {}),
        }


def teach(rendered: Rendered, base: Base, loss: Loss, notes: HarvestNotes) -> Taught:
    """Put beside each example what the teacher said of its supervised tokens, as far as the loss uses it.

    Args:
        rendered: a split.
        base: the student's tokenizer.
        loss: the run's.
        notes: the dataset's.

    Raises:
        BadInput: the loss needs probabilities, and no row has any that fit.
    """
    if loss.kind == "hard" or loss.on_policy or not _has_any(rendered.rows, loss):
        return Taught(rendered.examples)
    try:
        vocabulary = Vocabulary.of(base.tokenizer)
    except BadInput:
        if loss.kind != "auto":
            raise
        return Taught(rendered.examples, hard_rows={UNSPELT: len(rendered.examples)})
    examples, without, reasons, said = [], Counter[str](), Counter[str](), _Said()
    tails = Tails(rendered, notes)
    for example, row in zip(rendered.examples, rendered.rows, strict=True):
        found = _aligned(example, row, vocabulary, base, loss)
        if isinstance(found, Unaligned):
            without[found] += 1
            examples.append(example)
            continue
        if reason := tails.why_none(row):
            reasons[reason] += 1
            found = replace(found, sampled_N=np.full_like(found.sampled_N, ABSENT))
        said.add(found)
        examples.append(replace(example, soft=found))
    rows = len(examples) - without.total()
    if not rows and loss.kind != "auto":
        raise BadInput(
            f"--loss {loss.kind}: no row's logprobs spell its answer ({_counted(without)}); give --loss hard, or"
            " collect with `logprobs` in the teacher's sampling"
        )
    no_tail = next((reason for reason, _ in reasons.most_common(1)), None)
    return Taught(examples, rows, dict(without), no_tail=no_tail, **said.counts)


def told(taught: Taught, loss: Loss) -> list[str]:
    """What a user should know before such a training, in lines."""
    lines = []
    if taught.rows:
        as_ours = " as tokens of the student's" if taught.other_tokens else ""
        lines.append(
            f"train: {taught.rows} of {len(taught.examples)} rows have the teacher's probabilities, at {taught.listed}"
            f" tokens, learnt with --loss {loss.of_lists}; what it did not list of them{as_ours} had"
            f" {taught.rest:.4f} on average (R)"
        )
    if taught.hard_rows:
        lines.append(f"train: {_counted(taught.hard_rows)}: learnt by their answers alone")
    if taught.other_tokens:
        rows = count_of(taught.other_tokens, "row")
        pieces = f", and {taught.in_chunks} tokens by the likelihood of {taught.chunks} pieces" if taught.chunks else ""
        lines.append(
            f"train: the answer of {rows} is other tokens to the student than the teacher said; lists are learnt where"
            f" both cut alike{pieces}"
        )
    if loss.kind == "auto" and 2 * taught.other_tokens > taught.rows:
        lines.append(
            "train: the teacher has another tokenizer; --loss chunks learns how likely it found longer pieces, too"
        )
    if loss.kind == "sampled" and taught.no_tail:
        lines.append(f"--loss sampled: {taught.no_tail}; so what is not listed is learnt as with --loss bucket")
    return lines


def _has_any(rows: Sequence[Row], loss: Loss) -> bool:
    if any(row.stored_logprobs is not None for row in rows):
        return True
    if loss == Loss():
        return False
    given = "--hard-share, --temperature, --top" if loss.kind == "auto" else f"--loss {loss.kind}"
    raise BadInput(
        f"{given}: the dataset has no logprobs; collect with `logprobs: 20` in the teacher's sampling, or"
        " give --loss hard"
    )


def _aligned(example: Example, row: Row, vocabulary: Vocabulary, base: Base, loss: Loss) -> Aligned | Unaligned:
    ids = [label for label in example.labels if label != IGNORED]
    asked, plainly = asked_for(row.sampling), row.provider in LISTS_PLAINLY
    return align(
        row.logprobs,
        ids,
        vocabulary,
        stop_ids=base.stop_ids,
        most=loss.top if asked is None else min(asked, loss.top or asked),
        cut=None if plainly or asked is None else max(asked - 1, 1),
        before=_before(ids, row.answer.encode(), vocabulary, base),
        bias=BIASED if loss.of_lists == "chunks" else None,
    )


def asked_for(sampling: Any) -> int | None:
    """How many tokens a request asked to list; None where it does not say."""
    stated = sampling if isinstance(sampling, dict) else {}
    numbers = [stated.get(name) for name in MOST_PER_REQUEST]
    return next((number for number in numbers if isinstance(number, int) and not isinstance(number, bool)), None)


def _before(ids: Sequence[int], answer: bytes, vocabulary: Vocabulary, base: Base) -> bytes:
    """What the template has the student say before the answer, which may be cut: the end of a thought, or a space."""
    text = b"".join(spelt(ids, vocabulary, base.stop_ids))
    said_first = BEFORE.match(text)
    most = said_first.end() if said_first else 0
    return next((text[:place] for place in range(most + 1) if answer.startswith(text[place:])), b"")


class _Said:
    """Adds up what rows have of the teacher."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._rest = 0.0

    def add(self, found: Aligned) -> None:
        listed_N = (found.ids_NK != ABSENT).any(1)
        kept_N = np.exp(found.logp_NK[listed_N].astype(np.float64)).sum(1)
        self._rest += float(np.clip(1 - kept_N, 0, 1).sum())
        self._counts += Counter(
            listed=int(listed_N.sum()),
            other_tokens=int(not found.same),
            chunks=len(found.chunk_logp_C),
            in_chunks=int((found.chunk_N != ABSENT).sum()),
        )

    @property
    def counts(self) -> dict[str, Any]:
        listed = self._counts["listed"]
        return {**self._counts, "rest": self._rest / listed if listed else 0.0}


def _counted(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{count_of(count, 'row')} {reason}" for reason, count in sorted(reasons.items()))
