"""The smaller parts of a recipe: its budget, the student's view, the export, and what is stated about terms."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from harvester.recipe.base import MONEY, STATED
from harvester.strict_model import Model


class Budget(Model):
    """What may be spent, retries and lost requests included: by the store in all, by one run."""

    usd: Annotated[Decimal, MONEY] | None = None
    run_usd: Annotated[Decimal, MONEY] | None = None

    @model_validator(mode="after")
    def _states_one(self) -> "Budget":
        if self.usd is None and self.run_usd is None:
            raise ValueError("states no amount; add usd (the store in all) or run_usd (one run)")
        return self


class Student(Model):
    """What the student sees instead of the teacher's prompt; `instruction` is for the control arm only."""

    prompt: str
    instruction: str | None = None


FormatName = Literal[
    "messages", "prompt-completion", "preference", "alpaca", "sharegpt", "openai", "axolotl", "llama-factory", "csv",
    "axolotl-kd", "distillkit",
]  # fmt: skip


class Export(Model):
    """How the dataset is written."""

    format: FormatName = Field(default="messages", description="the layout; all but messages are for other trainers")
    split_by: Literal["seed"] = "seed"
    preference: bool = Field(default=False, description="pairs of a better and a worse answer, as a second config")


class DeclaredTerms(Model):
    """What the user states about a teacher that the registry does not let pass."""

    license: Annotated[str, STATED] | None = None
    basis: Annotated[str, STATED] | None = None
    accepted_by: Annotated[str, STATED] | None = None

    @model_validator(mode="after")
    def _basis_has_a_person(self) -> "DeclaredTerms":
        if self.basis and not self.accepted_by:
            raise ValueError("a basis needs accepted_by: the person who answers for it")
        return self
