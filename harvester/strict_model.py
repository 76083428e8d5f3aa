"""What every part of a recipe is made from."""

from decimal import Decimal
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

NUMBERS = {int, float, Decimal}


class Model(BaseModel):
    """Frozen, and strict about names: a misspelt option must not be an option silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what pydantic would take for 0 or 1: `yes` is true in YAML."""
        if isinstance(value, bool) and info.field_name:
            types = _types_in(cls.model_fields[info.field_name].annotation)
            if types & NUMBERS and bool not in types:
                raise ValueError("is a number; yes, no, on and off are true and false in YAML")
        return value


def _types_in(annotation: Any) -> set[Any]:
    """The plain types that an annotation is made of."""
    parts = get_args(annotation)
    return set().union(*map(_types_in, parts)) if parts else {annotation}
