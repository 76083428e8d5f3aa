"""What a filter sees of a row, and what it says of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from harvester.records import Json


@dataclass(frozen=True, slots=True)
class Example:
    """An answered row of train or dev; the test split is never curated, so no filter sees it."""

    id: int  # the row's number in the store
    row_id: str
    split: str  # train | dev
    seed_id: str
    seed: Mapping[str, Json]
    prompt: str  # the student's view: the contents of its messages, an empty line between them
    answer: str
    reasoning: str | None = None
    score: float | None = None  # a judge's
    finish_reason: str | None = None
    completion_tokens: int | None = None
    reference: Json = None  # what the seed says the answer should be; the dataset has it in a column


@dataclass(frozen=True, slots=True)
class Drop:
    """Why a row is not for training."""

    reason: str  # to be counted: "near_duplicate", "secret"
    detail: Mapping[str, Json] = field(default_factory=dict)  # what was found and where; never a secret itself


class RowFilter(Protocol):
    """Looks at one row at a time, whatever else there is."""

    @property
    def name(self) -> str:
        """As the recipe's `curate` block spells it."""
        ...

    def look(self, example: Example) -> Drop | None:
        """The reason against the row, or None."""
        ...


class CorpusFilter(Protocol):
    """Compares the rows that would be written; what an earlier filter dropped is not among them."""

    @property
    def name(self) -> str:
        """As the recipe's `curate` block spells it."""
        ...

    def drops(self, examples: Iterable[Example]) -> Mapping[int, Drop]:
        """Rows to drop, by `Example.id`.

        Args:
            examples: in the order of the dataset; may be gone through several times, each time from the beginning.
        """
        ...
