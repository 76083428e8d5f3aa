"""What a worker does for the `python` verifier: the user's function, loaded once."""

import hashlib
import importlib
import inspect
import sys
import types
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from harvester.records import Check, Json
from harvester.verify.base import HASH_CHARACTERS


def prepare(function: str, source: str | None) -> None:
    """Load the function."""
    _load(function, source)


def run(function: str, source: str | None, answer: str, seed: dict[str, Json]) -> tuple[bool, str | None]:
    """(passed, reason) as the function says.

    Raises:
        TypeError: it returned something else.
    """
    return verdict(_load(function, source)(answer, seed))


def verdict(found: Any) -> tuple[bool, str | None]:
    """(passed, reason) of what a function returned.

    Raises:
        TypeError: it is none of what a function may return.
    """
    if isinstance(found, Check):
        return found.passed, found.reason
    passed, reason = found if isinstance(found, tuple) and len(found) == 2 else (found, None)  # noqa: PLR2004 - a pair
    if type(passed).__name__ not in ("bool", "bool_"):  # numpy's, too
        raise TypeError(f"returned {type(passed).__name__}; return True or False, (passed, reason) or a Check")
    return bool(passed), None if reason is None else str(reason)


@cache
def _load(function: str, source: str | None) -> Callable[[str, dict[str, Json]], Any]:
    module_name, _, name = function.partition(":")
    module = importlib.import_module(module_name) if source is None else _module(module_name, source)
    found = getattr(module, name, None)
    if not callable(found):
        raise AttributeError(f"{module_name} has no function {name}")  # noqa: TRY004 - of the module
    return found  # type: ignore[no-any-return] # what it takes and returns is checked when it is called


def _module(name: str, source: str) -> types.ModuleType:
    # A name of its own: two recipes may have a checks.py each, and dataclasses look their module up.
    module = types.ModuleType(f"recipe_{hashlib.sha256(source.encode()).hexdigest()[:HASH_CHARACTERS]}_{name}")
    sys.modules[module.__name__] = module
    exec(compile(source, f"{name}.py", "exec"), module.__dict__)  # noqa: S102 - the user said --trust-recipe
    return module


def file_hash(function: str, source: str | None) -> str | None:
    """The start of the SHA-256 of an installed function's file, as far as there is one."""
    if source is not None:
        return None
    path = inspect.getsourcefile(sys.modules[function.partition(":")[0]])
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:HASH_CHARACTERS] if path else None
