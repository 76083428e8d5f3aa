"""What every part of a recipe is made from."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MONEY = Field(ge=0, le=10**9)
STATED = StringConstraints(strip_whitespace=True, min_length=1)
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]


class Model(BaseModel):
    """Frozen, and strict about names: a misspelt option must not be an option silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
