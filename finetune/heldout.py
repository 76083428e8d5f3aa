"""The held-out prompts of a dataset, what the teacher said to them, and whether the student has seen them."""

from collections.abc import Sequence
from dataclasses import dataclass

from finetune.data import Dataset, Message, Row
from finetune.errors import BadInput
from harvester.records import Json, count_of


@dataclass(frozen=True, slots=True)
class Prompt:
    """One held-out seed with every answer the teacher gave to it."""

    seed_id: str
    messages: tuple[Message, ...]
    tools: Json
    reference: Json
    teacher: tuple[Row, ...]


def has_references(data: Dataset) -> bool:
    """Whether every held-out row has what its answers are scored against; False where none has.

    Raises:
        BadInput: some have and some have not, or there is no split `test`.
    """
    rows = data.split("test")
    lacking = [row.row_id for row in rows if row.reference is None]
    if lacking and len(lacking) < len(rows):
        raise BadInput(
            f"{data.path}: split test: {len(lacking)} of its {count_of(len(rows), 'row')} (the first: {lacking[0]})"
            " without a `reference` to be scored against; give every held-out seed one and export again"
        )
    return not lacking


def heldout_prompts(data: Dataset, limit: int | None) -> list[Prompt]:
    """The held-out prompts in the dataset's order.

    Raises:
        BadInput: there is no split `test`.
    """
    by_seed: dict[str, list[Row]] = {}
    for row in data.split("test"):
        by_seed.setdefault(row.seed_id, []).append(row)
    prompts = [
        Prompt(
            seed_id=seed, messages=rows[0].prompt, tools=rows[0].tools, reference=rows[0].reference, teacher=(*rows,)
        )
        for seed, rows in by_seed.items()
    ]
    return prompts[:limit]


def overlap(data: Dataset, prompts: Sequence[Prompt]) -> dict[str, int]:
    """How many test prompts the student has seen in train: the same messages, case and spaces aside."""
    seen = {_normalised(row.prompt) for row in data.splits.get("train", [])}
    return {"prompts": sum(_normalised(prompt.messages) in seen for prompt in prompts), "of": len(prompts)}


def _normalised(messages: Sequence[Message]) -> tuple[tuple[str, str], ...]:
    return tuple((message["role"], " ".join(message["content"].lower().split())) for message in messages)
