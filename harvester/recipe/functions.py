"""Python functions in the place of what a recipe's file names: a template, a verify block, the way to read a reply."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml
from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from harvester.records import Check, Json, Message

PromptFunction = Callable[[dict[str, Any]], str | Sequence[Message]]
"""(what a template would see) → the prompt: one user message, or a list of messages."""
VerifyFunction = Callable[[str, dict[str, Any]], bool | tuple[bool, str | None] | Check]
"""(the answer's text, the seed's fields) → whether it passes, with the reason or not."""
ParseFunction = Callable[[str], Json]
"""(the reply's text) → the answer, a text or JSON; ValueError or None where it holds none."""

_WRITTEN = re.compile(r"function \S+:\S+")
"""How a recipe's text names a function: it says what was called, and cannot call it."""


def named(function: Callable[..., Any]) -> str:
    """A function as `module:name`."""
    its = function if hasattr(function, "__qualname__") else type(function)
    return f"{getattr(its, '__module__', None) or 'builtins'}:{its.__qualname__}"


def source_of(function: Callable[..., Any]) -> str:
    """A function's source, as far as it can be found."""
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):  # made by `exec`, built in, or an object that is called
        return ""


class OrFunction:
    """Annotates a field that takes a function beside values of a plain type, or a function alone.

    pydantic's own union would put the alternative's name into the field's place in every message.
    """

    def __init__(self, plain: Any = None) -> None:
        """Beside values of `plain`, if it is given."""
        self._plain = plain

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """How pydantic checks such a field, and writes it down."""
        plain = core_schema.any_schema() if self._plain is None else handler.generate_schema(self._plain)
        written = core_schema.plain_serializer_function_ser_schema(_written, when_used="json")
        return core_schema.no_info_wrap_validator_function(self._checked, plain, serialization=written)

    def _checked(self, value: Any, plain: Callable[[Any], Any]) -> Any:
        if callable(value):
            if inspect.iscoroutinefunction(value):
                raise ValueError(f"{named(value)} is async; give a plain function")
            return value
        if self._plain is None:
            raise ValueError("is a Python function, which no file can hold; remove it, or make the recipe in Python")
        if isinstance(value, str) and _WRITTEN.fullmatch(value):
            raise ValueError(f"{value}: no file can hold a Python function; name a file, or make the recipe in Python")
        return plain(value)


def _written(value: Any) -> Any:
    return f"function {named(value)}" if callable(value) else value


def text_of(recipe: BaseModel, functions: Mapping[str, Callable[..., Any]]) -> str:
    """A recipe that was made in Python, as YAML for the record: its functions by name, their source as comments.

    Args:
        recipe: the recipe.
        functions: field → its function.
    """
    fields = recipe.model_dump(mode="json", exclude_defaults=True)
    written = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
    sources = {f"{field}: {named(function)}": source_of(function) for field, function in functions.items()}
    lines = [line for head, source in sources.items() for line in ("", head, "", *source.splitlines())]
    return written + "".join(f"# {line}".rstrip() + "\n" for line in lines)
