"""The frame of verifiers that compare one field of the answer with one text of the seed."""

from collections.abc import Callable, Mapping
from typing import Any

from harvester.records import Json
from harvester.verify.answers import answer_field, seed_text
from harvester.verify.base import Judge
from harvester.verify.settings import Setting, SettingsKind

Compare = Callable[[Json, str, Mapping[str, Json]], None]
"""(the field's value, the seed's text, the settings) → nothing, or raises `Failed`."""

SETTINGS = {
    "field": Setting(str, missing="name the answer's field to check"),
    "source": Setting(str, missing="name the seed's field to compare it with"),
}


def field_kind(name: str, compare: Compare, options: Mapping[str, Setting] | None = None) -> SettingsKind:
    """A verifier with the settings `field` (of the answer), `source` (of the seed) and perhaps further ones."""

    def judge_of(settings: Mapping[str, Any]) -> Judge:
        def judge(answer: str, seed: Mapping[str, Json]) -> None:
            compare(answer_field(answer, settings["field"]), seed_text(seed, settings["source"]), settings)

        return judge

    known = {**SETTINGS, **(options or {})}
    return SettingsKind(name, known, "{field: …, source: …}", judge_of, seed_settings=("source",))
