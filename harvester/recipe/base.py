"""Kinds of values that several parts of a recipe have."""

from typing import Annotated

from pydantic import Field, StringConstraints

MONEY = Field(ge=0, le=10**9)
STATED = StringConstraints(strip_whitespace=True, min_length=1)
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
