"""The frame of verifiers that compare one field of the answer with one text of the seed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harvester.records import Check, Json
from harvester.verify.answers import answer_field, seed_text
from harvester.verify.base import BadSettings, Failed, Verifier
from harvester.verify.names import did_you_mean

Compare = Callable[[Json, str, Mapping[str, Json]], None]
"""(the field's value, the seed's text, the settings) → nothing, or raises `Failed`."""


@dataclass(frozen=True, slots=True)
class FieldKind:
    """A verifier with the settings `field` (of the answer) and `source` (of the seed).

    Attributes:
        name: its name in the recipe.
        compare: judges the field's value by the seed's text.
        options: further settings that may be given, and their type.
    """

    name: str
    compare: Compare
    options: Mapping[str, type] | None = None

    def resolve(self, settings: Json, folder: Path, where: str) -> Json:  # noqa: ARG002 - the common form of a kind
        """Checks the settings; there is nothing to read in."""
        if not isinstance(settings, Mapping):
            raise BadSettings("", f"write {{field: …, source: …}}, not {settings!r}")
        types: dict[str, type] = {"field": str, "source": str, **(self.options or {})}
        for name, value in settings.items():
            if name not in types:
                raise BadSettings(f".{name}", f"unknown field{did_you_mean(name, types) or '; remove it'}")
            if not isinstance(value, types[name]):
                raise BadSettings(f".{name}", f"must be {_TYPE_NAMES[types[name]]}, not {value!r}")
        for name in ("field", "source"):
            if not settings.get(name):
                raise BadSettings(f".{name}", f"missing; name the {_MEANING[name]}")
        return dict(settings)

    def build(self, settings: Json) -> Verifier:
        """The verifier for these settings."""
        params: dict[str, Any] = dict(settings)

        def verify(answer: str, seed: Mapping[str, Json]) -> Check:
            try:
                self.compare(answer_field(answer, params["field"]), seed_text(seed, params["source"]), params)
            except Failed as failed:
                return Check(self.name, params, passed=False, reason=failed.reason)
            return Check(self.name, params, passed=True)

        return verify


_TYPE_NAMES = {str: "text", bool: "true or false"}
_MEANING = {"field": "answer's field to check", "source": "seed's field to compare it with"}
