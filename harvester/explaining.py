"""Validation errors of a recipe as one line: field and mend, with "did you mean" for unknown fields."""

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harvester.yaml_text import MOST_SHOWN, one_line

OTHER_NAMES = {
    "rpm": "requests_per_minute", "tpm": "tokens_per_minute", "max_workers": "concurrency", "n": "samples",
    "url": "base_url", "endpoint": "base_url", "template": "prompt",
}  # fmt: skip
SHAPES = {"model_type": "a mapping", "dict_type": "a mapping", "tuple_type": "a list", "list_type": "a list"}
"""pydantic's types of error → what YAML calls what it wants there."""
KEY_FIELDS = ("api_key", "apikey", "key", "token", "secret")
NEAR, NEARER = 0.6, 0.8
"""How like a known field an unknown one must be; what may be a key is taken for a field only where it is nearer."""
QUOTE = "put quotation marks around it"


def explain(path: Path, error: ValidationError, root: type[BaseModel]) -> str:
    """One line for a validation error of `root`: the file, the field that is wrong, and the mend.

    A misspelt field comes first: it is why another one is missing.
    """
    found = error.errors(include_url=False, include_context=False)
    # pydantic also finds a list too short whose only item is wrong.
    problems = [one for one in found if one["type"] != "too_short" or not one["input"]] or found
    first = next((one for one in problems if _misspelt(one, problems, root)), problems[0])
    mended = _misspelt(first, problems, root)
    left = [one for one in problems if one is not first and not (one["type"] == "missing" and _field(one) == mended)]
    more = f" (and {len(left)} more)" if left else ""
    return one_line(f"{path}: {_explain_one(first, problems, root)}{more}")


def _misspelt(problem: ErrorDetails, problems: Sequence[ErrorDetails], root: type[BaseModel]) -> str | None:
    """The field that an unknown one is meant to be, or that is missing beside it; None for other problems."""
    if problem["type"] != "extra_forbidden":
        return None
    near = _near(problem["loc"], root)
    inside = ".".join(map(str, problem["loc"][:-1]))
    return ".".join(filter(None, (inside, near))) if near else _missing_beside(problem, problems)


def _missing_beside(problem: ErrorDetails, problems: Sequence[ErrorDetails]) -> str | None:
    inside = problem["loc"][:-1]
    missing = (one for one in problems if one["type"] == "missing" and one["loc"][:-1] == inside)
    return next(map(_field, missing), None)


def _field(problem: ErrorDetails) -> str:
    return ".".join(map(str, problem["loc"]))


def _explain_one(problem: ErrorDetails, problems: Sequence[ErrorDetails], root: type[BaseModel]) -> str:
    loc, field = problem["loc"], _field(problem)
    if problem["type"] == "extra_forbidden":
        return f"{field}: {_unknown_field(problem, problems, root)}"
    if problem["type"] == "missing":
        return f"{field}: missing; add it"
    message = problem["msg"].removeprefix("Value error, ").replace("Tuple should", "the list should")
    if not loc:  # of the recipe as a whole: it names its fields itself
        return message
    shown = problem.get("input")
    if shape := SHAPES.get(problem["type"]):
        inner = _model_at(root, [part for part in loc if isinstance(part, str)])
        names = f" with {', '.join(inner.model_fields)}" if shape == "a mapping" and inner else ""
        other = "" if isinstance(shown, dict | list) else f", not {repr(shown)[:MOST_SHOWN]}"  # may hold a key
        return f"{field}: is {shape}{names}{other}"
    if problem["type"] == "value_error" or isinstance(shown, dict | list) or "api_key" in field:
        return f"{field}: {message}"  # a key put where a name belongs must not be printed
    mend = f"; {QUOTE}" if problem["type"] == "string_type" and shown is not None else ""
    return f"{field}: {message[0].lower()}{message[1:]}, not {repr(shown)[:MOST_SHOWN]}{mend}"


def _unknown_field(problem: ErrorDetails, problems: Sequence[ErrorDetails], root: type[BaseModel]) -> str:
    if near := _near(problem["loc"], root):
        return f"unknown field; did you mean {near}?"
    if str(problem["loc"][-1]).lower() in KEY_FIELDS:
        return "a key in a recipe is refused; put it into the environment and its variable's name into api_key_env"
    missing = _missing_beside(problem, problems)
    return f"unknown field; {missing} is missing" if missing else "unknown field; remove it"


def _near(loc: tuple[int | str, ...], root: type[BaseModel]) -> str | None:
    """The known field, as seen from where it stands, that an unknown one is most like."""
    *parents, name = [part for part in loc if isinstance(part, str)]
    known = {path.rsplit(".", 1)[-1]: path for path in _fields_under(root, parents)}
    beside = [path for path in known.values() if "." not in path]
    swapped = [path for path in beside if sorted(path) == sorted(name.lower())]  # its very letters
    if typo := swapped or difflib.get_close_matches(name.lower(), beside, n=1, cutoff=NEARER):
        return typo[0]  # rather than a field of that very name that belongs elsewhere
    known |= {other: known[field] for other, field in OTHER_NAMES.items() if field in known}
    cutoff = NEARER if name.lower() in KEY_FIELDS else NEAR
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=cutoff)
    return known[near[0]] if near else None


def _fields_under(model: type[BaseModel], parents: list[str]) -> Iterator[str]:
    """Dotted names of the fields of the model at `parents`, and of the models inside it."""
    if inner := _model_at(model, parents):
        yield from _walk(inner, "")


def _model_at(model: type[BaseModel], parents: list[str]) -> type[BaseModel] | None:
    names = iter(parents)
    for name in names:
        field = model.model_fields.get(name)
        inner = _model_in(field.annotation) if field else None
        if field is None or inner is None:
            return None
        if get_origin(field.annotation) is dict:
            next(names, None)  # the name that the user gave, as in `teachers`
        model = inner
    return model


def _walk(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in reversed(model.model_fields.items()):  # of models of one kind the first wins: teacher
        inner = _model_in(field.annotation)
        if inner is not None:
            yield from _walk(inner, f"{prefix}{name}.")
    for name in model.model_fields:  # nearer names last: they win over deeper ones of the same name
        yield f"{prefix}{name}"


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
