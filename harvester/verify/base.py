"""What every verifier is made from: its type, its settings, and how it quotes an answer in a reason."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from harvester.records import Check, Json

Verifier = Callable[[str, Mapping[str, Json]], Check]
"""(the answer's text, the seed's fields without its reference) → what this verifier says about it."""

Judge = Callable[[str, Mapping[str, Json]], None]
"""(the answer's text, the seed's fields) → nothing where the answer passes, or raises `Failed`."""

QUOTED_CHARACTERS = 80
REASON_CHARACTERS = 200
PARAM_CHARACTERS = 200
HASH_CHARACTERS = 12


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

    @property
    def slow(self) -> bool:
        """Whether its verifiers take long or wait for another process: call them beside what must go on."""
        ...

    @property
    def seed_settings(self) -> tuple[str, ...]:
        """The settings that name a field of the seed."""
        ...

    @property
    def runs_recipe_code(self) -> bool:
        """Whether it runs code that came with the recipe, outside of any sandbox."""
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


def checking(name: str, settings: Mapping[str, Json], judge: Judge) -> Verifier:
    """The verifier that reports what `judge` finds, under a kind's name and its settings."""
    params = {setting: _short(value) for setting, value in settings.items()}

    def verify(answer: str, seed: Mapping[str, Json]) -> Check:
        try:
            judge(answer, seed)
        except Failed as failed:
            return Check(name, params, passed=False, reason=failed.reason)
        return Check(name, params, passed=True)

    return verify


def fingerprint(value: Json) -> str:
    """The start of the SHA-256 of a value: names what would be too long to stand in every row."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_CHARACTERS]


def _short(value: Json) -> Json:
    return value if len(json.dumps(value)) <= PARAM_CHARACTERS else {"sha256": fingerprint(value)}


def one_line(text: str) -> str:
    """What another process said, as a reason: short, one line, and always encodable as UTF-8."""
    line = " ".join(text[: REASON_CHARACTERS * 4].split())[:REASON_CHARACTERS]
    return line.encode("utf-8", "backslashreplace").decode("utf-8")


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
