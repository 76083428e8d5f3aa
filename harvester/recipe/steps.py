"""A step of a recipe: what is asked about every seed or earlier row, and what is asked of the answer."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from harvester.recipe.base import Name
from harvester.recipe.functions import OrFunction, ParseFunction, PromptFunction, VerifyFunction
from harvester.recipe.teacher import Sampling
from harvester.records import Json
from harvester.strict_model import Model

SEEDS = "seeds"
"""What `of` says where a step reads the recipe's seeds."""
REPAIR = "/repair"
"""Ends the name under which a step's second attempts at a schema are stored."""

Selection = Literal["all", "first_accepted", "best_of_n", "majority"]

VERDICT: dict[str, Json] = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "score": {"type": "number"}},
    "required": ["reason", "score"],
    "additionalProperties": False,
}
"""What a judge answers, where its step says nothing else: the reason first, so that the score follows from it."""


class Output(Model):
    """The form of the answer: sent to providers that take it, and always checked here."""

    json_schema: str | dict[str, Any] = Field(description="a schema's file, or the schema itself")
    repair: bool = Field(default=True, description="ask once more, with the reason, where the answer does not fit")


class Step(Model):
    """One question per row that it reads and sample, and what is asked of the answer."""

    name: Name
    kind: Literal["generate", "revise", "expand", "judge"] = "generate"
    of: str | None = Field(
        default=None, description="the step whose rows it reads, or seeds; by default the one before"
    )
    prompt: Annotated[str | PromptFunction, OrFunction(str)]
    teacher: Name | None = Field(default=None, description="a teacher's name; by default `teacher`, judges ask `judge`")
    sampling: Sampling | None = Field(default=None, description="over the teacher's own, field by field")
    samples: int = Field(default=1, ge=1, le=1000)
    output: Output | None = None
    parse: Annotated[ParseFunction, OrFunction()] | None = Field(
        default=None, description="in Python only: reads the answer out of a reply's text"
    )
    verify: Annotated[dict[str, Any] | VerifyFunction, OrFunction(dict[str, Any])] = Field(default_factory=dict)
    select: Selection | None = Field(
        default=None, description="by default first_accepted, or all where a judge reads it"
    )
    vote_by: Literal["text", "json", "boxed"] = Field(default="text", description="what `majority` compares")
    min_score: float | None = Field(default=None, description="the score that a judge's row needs")

    @property
    def row_names(self) -> tuple[str, str]:
        """The names under which its rows are stored: first attempts, and second ones."""
        return self.name, self.name + REPAIR

    @property
    def functions(self) -> dict[str, Callable[..., Any]]:
        """Field → the Python function in it."""
        fields = {"prompt": self.prompt, "parse": self.parse, "verify": self.verify}
        return {name: value for name, value in fields.items() if callable(value)}

    @property
    def repairs(self) -> bool:
        """Whether an answer that misses its form is asked for once more."""
        return self.output is not None and self.output.repair

    @property
    def judges(self) -> bool:
        """Whether its rows are scores of other rows."""
        return self.kind == "judge"

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.name == SEEDS:
            raise ValueError(f"name: {SEEDS} is what `of` calls the recipe's seeds; take another name")
        if self.judges and self.samples > 1:
            raise ValueError("samples: a judge is asked once about each row; remove it")
        if self.judges and self.select in ("first_accepted", "majority"):
            raise ValueError(f"select: a judge selects by all or best_of_n, not by {self.select}")
        if not self.judges and self.select == "best_of_n":
            raise ValueError("select: best_of_n needs scores; put it at the judge that reads this step")
        if not self.judges and self.min_score is not None:
            raise ValueError("min_score: is for judges; remove it")
        if self.kind == "expand" and self.select not in (None, "all"):
            raise ValueError(f"select: an expanding step passes on every new seed; remove {self.select}")
        return self
