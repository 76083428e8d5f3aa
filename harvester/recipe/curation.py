"""What a recipe's `curate` block states: what is looked for among the answers, and dropped."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from harvester.seeds_spec import Seeds
from harvester.strict_model import Model

Similarity = Annotated[float, Field(ge=0.5, le=1)]
ANSWER = "answer"
"""What `balance.field` says where the answer itself is counted by."""
Switch = Literal["drop", "keep"]
FieldName = Annotated[str, StringConstraints(min_length=1)]
LanguageCode = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]


class NearDuplicates(Model):
    """From which Jaccard similarity of their word 5-grams two texts are the same; None: not compared."""

    prompts: Similarity | None = 0.8
    answers: Similarity | None = 0.8


class Lengths(Model):
    """Of an answer, in tokens as its reply counted them (bytes / 4 where it did not)."""

    min_tokens: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _leaves_some(self) -> "Lengths":
        if self.min_tokens is None and self.max_tokens is None:
            raise ValueError("states no bound; add min_tokens or max_tokens")
        if self.min_tokens and self.max_tokens and self.min_tokens > self.max_tokens:
            raise ValueError("min_tokens is more than max_tokens; lower it")
        return self


class PerSource(Model):
    """At most so many rows of one source."""

    field: FieldName = Field(description="of the seed, that names its source")
    most: int = Field(ge=1)


class Balance(Model):
    """No class may have more than so many times the rows of the smallest."""

    field: FieldName = Field(description="of the seed, or `answer` for the answer itself")
    at_most: float = Field(default=2.0, ge=1, description="times the smallest class")


class Benchmark(Seeds):
    """Texts that no row may hold: a file, a folder or a dataset, as seeds are given."""

    fields: tuple[FieldName, ...] = Field(default=(), description="that are compared; all texts where none is named")


class Curate(Model):
    """Which filters run, in the order of these fields."""

    secrets: Switch = "drop"
    personal_data: Switch = "keep"
    refusals: Switch = "drop"
    repetition: Switch = "drop"
    truncated: Switch = "drop"
    language: tuple[LanguageCode, ...] = ()
    length: Lengths | None = None
    decontaminate: tuple[str | Benchmark, ...] | None = Field(
        default=None, description="files or datasets; the recipe's heldout where it is left out"
    )
    exact_duplicates: Switch = "drop"
    near_duplicates: NearDuplicates = NearDuplicates()
    per_source: PerSource | None = None
    balance: Balance | None = None

    @field_validator("near_duplicates", mode="before")
    @classmethod
    def _one_number_is_for_both(cls, stated: object) -> object:
        if isinstance(stated, int | float) and not isinstance(stated, bool):
            return {"prompts": stated, "answers": stated}
        return stated

    @field_validator("language", mode="before")
    @classmethod
    def _one_language_is_a_list(cls, stated: object) -> object:
        return (stated,) if isinstance(stated, str) else stated
