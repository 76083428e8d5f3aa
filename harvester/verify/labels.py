"""labels: the answer, or one field of it, is one of a set of labels.

The answer is compared with white space folded and letters composed. A field may also hold a whole number where the
label is its digits.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harvester.errors import BadInput
from harvester.records import Json
from harvester.verify.answers import answer_field
from harvester.verify.base import BadSettings, Failed, Judge, quote
from harvester.verify.copied_span import fold
from harvester.verify.files import read_text
from harvester.verify.settings import Setting, SettingsKind, shown

SETTINGS = {
    "of": Setting(object, missing="list the labels, or name a file that has one on each line"),
    "field": Setting(str),
    "ignore_case": Setting(bool, default=False),
}


def _finish(settings: dict[str, Any], folder: Path, where: str) -> dict[str, Any]:
    of = settings["of"]
    labels = _listed(folder, of, f"{where}.of") if isinstance(of, str) else of
    if not isinstance(labels, list):
        raise BadSettings(".of", f"must be a list of labels, or a file's name, not {shown(labels)}")
    for label in labels:
        if not isinstance(label, str):
            raise BadSettings(".of", f"{shown(label)} is no text: put quotation marks around it")
        if not fold(label):
            raise BadSettings(".of", "a label is empty; take it away")
    forms = [_form(label, settings) for label in labels]
    twice = next((label for label, form in zip(labels, forms, strict=True) if forms.count(form) > 1), None)
    if twice is not None:
        raise BadSettings(".of", f"{shown(twice)} is there twice; take one away")
    return {**settings, "of": labels}


def _listed(folder: Path, name: str, where: str) -> list[str]:
    labels = [line.strip() for line in read_text(folder, name, where=where).splitlines() if line.strip()]
    if not labels:
        raise BadInput(f"{where}: {name} is empty; write one label on each line")
    return labels


def _form(label: str, settings: Mapping[str, Any]) -> str:
    return fold(label).casefold() if settings["ignore_case"] else fold(label)


def _judge(settings: Mapping[str, Any]) -> Judge:
    labels = {_form(label, settings) for label in settings["of"]}

    def judge(answer: str, seed: Mapping[str, Json]) -> None:  # noqa: ARG001 - the common form of a verifier
        field = settings.get("field")
        value = answer if field is None else answer_field(answer, field)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or _form(value, settings) not in labels:
            raise Failed(f"{field or 'the answer'} {quote(value)} is none of the {len(labels)} labels")

    return judge


LABELS = SettingsKind("labels", SETTINGS, "{of: [first, second]}", _judge, _finish)
