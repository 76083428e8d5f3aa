"""Reads a verifier's settings: names, types, what must be there, and what holds where nothing is said."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harvester.records import Json
from harvester.verify.base import BadSettings, Judge, Verifier, checking
from harvester.verify.names import did_you_mean

MOST_SHOWN = 80
"""Characters of a value that a message repeats."""
_NAMES = {str: "text", bool: "true or false"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        type: what its value is: str, bool, int (a count) or float (more than nothing); object takes anything.
        missing: what to write, where it must be there.
        default: its value where it is left out; None leaves it out.
        most: the largest count or number.
    """

    type: type
    missing: str | None = None
    default: Json = None
    most: float | None = None


def read_settings(settings: Json, known: Mapping[str, Setting], example: str) -> dict[str, Any]:
    """A kind's settings, checked, with what was left out filled in.

    Raises:
        BadSettings: an unknown, wrong or missing setting.
    """
    if not isinstance(settings, Mapping):
        raise BadSettings("", f"write {example}, not {shown(settings)}")
    for name, value in settings.items():
        if name not in known:
            mend = did_you_mean(name, known) or _missing(settings, known) or "; remove it"
            raise BadSettings(f".{name}", f"unknown field{mend}")
        _require_type(name, value, known[name])
    for name, setting in known.items():
        if _lacks(settings, name, setting):
            raise BadSettings(f".{name}", f"missing; {setting.missing}")
    defaults = {name: setting.default for name, setting in known.items() if setting.default is not None}
    return {**defaults, **settings}


def _lacks(settings: Mapping[str, Json], name: str, setting: Setting) -> bool:
    return setting.missing is not None and settings.get(name) in (None, "", [], {})


def _missing(settings: Mapping[str, Json], known: Mapping[str, Setting]) -> str:
    """What is missing beside an unknown field, which may be meant to be it."""
    missing = (f"; {name} is missing: {its.missing}" for name, its in known.items() if _lacks(settings, name, its))
    return next(missing, "")


def shown(value: Json) -> str:
    """A setting's value in a message."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…"


def _require_type(name: str, value: Json, setting: Setting) -> None:
    if setting.type is object:
        return
    if setting.type in (int, float):
        number = isinstance(value, int | setting.type) and not isinstance(value, bool)
        if not number or not 0 <= value < float("inf") or (setting.type is float and value == 0):
            kind = "a number of at least 0, without a fraction" if setting.type is int else "a number above 0"
            raise BadSettings(f".{name}", f"must be {kind}, not {shown(value)}")
        if setting.most is not None and value > setting.most:
            raise BadSettings(f".{name}", f"must be at most {setting.most:g}, not {shown(value)}")
    elif not isinstance(value, setting.type):
        raise BadSettings(f".{name}", f"must be {_NAMES[setting.type]}, not {shown(value)}")


Finish = Callable[[dict[str, Any], Path, str], dict[str, Any]]
"""(checked settings, the recipe's folder, where they stand) → the same, self-contained."""


@dataclass(frozen=True, slots=True)
class SettingsKind:
    """A kind of verifier with settings of its own.

    Attributes:
        name: its name in the recipe.
        known: its settings.
        example: what a right block looks like, for messages.
        judge: settings → what judges an answer.
        finish: checks that go beyond a type, and reads files in.
        slow: see `Kind`.
        seed_settings: see `Kind`.
        runs_recipe_code: see `Kind`.
    """

    name: str
    known: Mapping[str, Setting]
    example: str
    judge: Callable[[Mapping[str, Any]], Judge]
    finish: Finish | None = None
    slow: bool = False
    seed_settings: tuple[str, ...] = ()
    runs_recipe_code: bool = False

    def resolve(self, settings: Json, folder: Path, where: str) -> Json:
        """Checks the settings and makes them self-contained."""
        checked = read_settings(settings, self.known, self.example)
        return self.finish(checked, folder, where) if self.finish else checked

    def build(self, settings: Json) -> Verifier:
        """The verifier for these settings."""
        return checking(self.name, settings, self.judge(settings))
