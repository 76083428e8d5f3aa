"""Validation errors of a recipe as one line: field and mend, with "did you mean" for unknown fields."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harvester.yaml_text import MOST_SHOWN, one_line

OTHER_NAMES = {"rpm": "requests_per_minute", "tpm": "tokens_per_minute", "max_workers": "concurrency", "n": "samples"}
SHAPES = {"model_type": "a mapping", "dict_type": "a mapping", "tuple_type": "a list", "list_type": "a list"}
"""pydantic's types of error → what YAML calls what it wants there."""
KEY_FIELDS = ("api_key", "apikey", "key", "token", "secret")


def explain(path: Path, error: ValidationError, root: type[BaseModel]) -> str:
    """One line for a validation error of `root`: the file, the first field that is wrong, and the mend."""
    problems = error.errors(include_url=False, include_context=False)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return one_line(f"{path}: {_explain_one(problems[0], root)}{more}")


def _explain_one(problem: ErrorDetails, root: type[BaseModel]) -> str:
    loc = problem["loc"]
    field = ".".join(str(part) for part in loc) or "recipe"
    if problem["type"] == "extra_forbidden":
        return f"{field}: {_unknown_field(loc, root)}"
    if problem["type"] == "missing":
        return f"{field}: missing; add it"
    message = problem["msg"].removeprefix("Value error, ").replace("Tuple should", "the list should")
    shown = problem.get("input")
    if shape := SHAPES.get(problem["type"]):
        inner = _model_at(root, [part for part in loc if isinstance(part, str)])
        names = f" with {', '.join(inner.model_fields)}" if shape == "a mapping" and inner else ""
        other = "" if isinstance(shown, dict | list) else f", not {repr(shown)[:MOST_SHOWN]}"  # may hold a key
        return f"{field}: is {shape}{names}{other}"
    if problem["type"] == "value_error" or isinstance(shown, dict | list) or "api_key" in field:
        return f"{field}: {message}"  # a key put where a name belongs must not be printed
    return f"{field}: {message[0].lower()}{message[1:]}, not {repr(shown)[:MOST_SHOWN]}"


def _unknown_field(loc: tuple[int | str, ...], root: type[BaseModel]) -> str:
    *parents, name = [part for part in loc if isinstance(part, str)]
    if name.lower() in KEY_FIELDS:
        return "a key in a recipe is refused; put it into the environment and its variable's name into api_key_env"
    known = {path.rsplit(".", 1)[-1]: path for path in _fields_under(root, parents)}
    known |= {other: known[field] for other, field in OTHER_NAMES.items() if field in known}
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return f"unknown field; did you mean {known[near[0]]}?" if near else "unknown field; remove it"


def _fields_under(model: type[BaseModel], parents: list[str]) -> Iterator[str]:
    """Dotted names of the fields of the model at `parents`, and of the models inside it."""
    if inner := _model_at(model, parents):
        yield from _walk(inner, "")


def _model_at(model: type[BaseModel], parents: list[str]) -> type[BaseModel] | None:
    for parent in parents:
        field = model.model_fields.get(parent)
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            return None
        model = inner
    return model


def _walk(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = _model_in(field.annotation)
        if inner is not None:
            yield from _walk(inner, f"{prefix}{name}.")
    for name in model.model_fields:  # nearer names last: they win over deeper ones of the same name
        yield f"{prefix}{name}"


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
