"""What every verifier is made from: its type, its settings, and how it quotes an answer in a reason."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from harvester.records import Check, Json

Verifier = Callable[[str, Mapping[str, Json]], Check]
"""(the answer's text, the seed's fields without its reference) → what this verifier says about it."""

QUOTED_CHARACTERS = 80


class BadSettings(Exception):
    """A verifier's settings are wrong; the registry adds which verifier and raises `BadInput`."""

    def __init__(self, field: str, mend: str) -> None:
        super().__init__(mend)
        self.field = field
        self.mend = mend


class Kind(Protocol):
    """A kind of verifier: a module or object that reads settings and builds the function."""

    @property
    def name(self) -> str:
        """The name in the recipe."""
        ...

    def resolve(self, settings: Json, folder: Path, where: str) -> Json:
        """Settings as the recipe states them → the same, self-contained."""
        ...

    def build(self, settings: Json) -> Verifier:
        """Self-contained settings → the verifier."""
        ...


class Failed(Exception):
    """Ends a verifier early with the reason why the answer fails."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def quote(value: Json) -> str:
    """A value of the answer as it stands in a reason: short, one line, and always encodable as UTF-8."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (RecursionError, ValueError, TypeError):
        text = f"a {type(value).__name__}"
    if len(text) > QUOTED_CHARACTERS:
        text = text[: QUOTED_CHARACTERS - 1] + "…"
    # A JSON string can hold half of a surrogate pair; neither a database nor Arrow would take it.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
