"""Pairs of a better and a worse answer to one prompt: read from a dataset's config `preference`, and rendered."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from finetune.data import CONTRACT, Message, check_columns, pair_files
from finetune.errors import BadInput
from finetune.rendering import Example, Renderer

_MESSAGES = CONTRACT.field("messages").type
PAIRS = pa.schema(
    [("prompt", _MESSAGES), ("chosen", _MESSAGES), ("rejected", _MESSAGES), ("row_id_chosen", pa.string())]
)
"""The columns that are read. Others are let through."""
SAME = "both answers have the same tokens"


@dataclass(frozen=True, slots=True)
class Choice:
    """Two answers to one prompt, as text."""

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt for the model, which learns from both at once."""

    chosen: Example
    rejected: Example
    reference: float = 0.0  # log π(chosen) - log π(rejected) of the base, in nats

    @property
    def length(self) -> int:
        """Tokens in a forward pass."""
        return self.chosen.length + self.rejected.length

    @property
    def supervised(self) -> int:
        """Tokens of both answers."""
        return self.chosen.supervised + self.rejected.supervised

    @property
    def weight(self) -> int:
        """What it counts for in a mean: every pair the same, however long."""
        return 1


Learnt = Example | Pair
"""What a step learns from as a whole: it is in one forward pass."""


@dataclass(frozen=True, slots=True)
class Paired:
    """The pairs of one split, and how many were left out for which reason."""

    pairs: list[Pair]
    dropped: Mapping[str, int]

    def require(self) -> list[Pair]:
        """The pairs, of which there must be some.

        Raises:
            BadInput: none is left.
        """
        if not self.pairs:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.dropped.items())
            raise BadInput(f"preference, split train: no pair is left to train on ({reasons}); see --max-length")
        return self.pairs


def read_choices(dataset: Path) -> dict[str, list[Choice]]:
    """The pairs of each split, of which there is `train`.

    Raises:
        BadInput: the dataset has no pairs, or a column, type or row breaks the contract (docs/design/005-dataset.md).
    """
    splits = defaultdict[str, list[Choice]](list)
    for file in pair_files(dataset):
        check_columns(file, PAIRS)
        splits[file.name.partition("-")[0]] += [_choice(file, line) for line in _lines(file)]
    if not splits["train"]:
        raise BadInput(
            f"{dataset}: no pairs to train on in it (preference/train-*.parquet); put `export: {{preference: true}}`"
            " into the recipe and export it again"
        )
    return dict(splits)


def rendered(choices: Sequence[Choice], renderer: Renderer, max_length: int) -> Paired:
    """The pairs as ids and labels; those that cannot be learnt from are left out and counted.

    Args:
        choices: of one split.
        renderer: with the model's tokenizer.
        max_length: tokens of the prompt with one answer; both must fit, as a cut answer would be compared with a whole.
    """
    pairs, dropped = [], Counter[str]()
    for choice in choices:
        chosen, rejected = (
            renderer.learnable(choice.prompt, answer, max_length) for answer in (choice.chosen, choice.rejected)
        )
        if isinstance(chosen, str) or isinstance(rejected, str):
            dropped[chosen if isinstance(chosen, str) else str(rejected)] += 1
        elif chosen.ids == rejected.ids:
            dropped[SAME] += 1
        else:
            pairs.append(Pair(chosen, rejected))
    return Paired(pairs, dict(dropped))


def _lines(file: Path) -> list[dict[str, Any]]:
    try:
        lines: list[dict[str, Any]] = pq.read_table(file, columns=PAIRS.names).to_pylist()
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"{file}: cannot be loaded ({reason}); export the dataset again") from error
    return lines


def _choice(file: Path, line: dict[str, Any]) -> Choice:
    where = f"{file}: pair of row {line['row_id_chosen']}"
    for name in ("prompt", "chosen", "rejected"):
        messages = line[name] or []
        if not messages or any(message["role"] is None or message["content"] is None for message in messages):
            raise BadInput(f"{where}: column {name!r} is empty or has a message without role or content; export again")
        if name != "prompt" and [message["role"] for message in messages] != ["assistant"]:
            raise BadInput(f"{where}: column {name!r} must hold one message, an assistant's; export again")
    return Choice(tuple(line["prompt"]), line["chosen"][0]["content"], line["rejected"][0]["content"])
