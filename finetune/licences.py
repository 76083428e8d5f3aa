"""What binds whoever hands a student on: its teachers' terms, and the licence of the model beneath it."""

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from finetune.config import EMBEDDED
from finetune.errors import BadInput, RefusedByTerms
from finetune.notes import TermsNotes

PASSING = frozenset({"allowed", "conditions"})
CLAIMED = "claimed by the user, not checked"
HUB_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?")
EMBEDDED_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """The model beneath a student."""

    name: str  # without the folders of the machine it lay on
    hub_id: str | None  # None for a folder of the user's own
    license: str | None  # None where the registry does not know
    terms: TermsNotes | None  # the obligations that its licence passes on; its verdict is about teachers


def base_model(name: str) -> BaseFacts:
    """What is known of a run's base model: `embedded`, a local folder or a hub id."""
    hub_id = EMBEDDED_ID if name == EMBEDDED else None if Path(name).exists() else name
    shown = hub_id or Path(name).resolve().name
    entry = _entry(shown.rsplit("/", 1)[-1].lower())
    if entry is None:
        return BaseFacts(shown, hub_id, None, None)
    known = {key: entry[key] for key in TermsNotes.model_fields if key in entry}
    terms = TermsNotes(**{**known, "teacher": "base model", "as_of": str(entry.get("as_of", ""))})
    return BaseFacts(shown, hub_id, entry.get("license"), terms if terms.obligations else None)


@cache
def _registry() -> list[dict[str, Any]]:
    """The models of Harvester's registry, which it ships as data."""
    text = resources.files("harvester").joinpath("terms.yaml").read_text(encoding="utf-8")
    models: list[dict[str, Any]] = yaml.safe_load(text)["models"]
    return models


def _entry(name: str) -> dict[str, Any] | None:
    for entry in _registry():
        patterns = [entry["match"]] if isinstance(entry["match"], str) else entry["match"]
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            return entry
    return None


def require(bindings: Sequence[TermsNotes], name: str, *, field: str) -> None:
    """Let a student leave under this name, or say which rule is in the way.

    Args:
        bindings: the teachers' terms and the base model's.
        name: the student's.
        field: where the name is from, for messages.

    Raises:
        BadInput: the name is none that a model folder or the hub takes.
        RefusedByTerms: a teacher's terms forbid the training and no right to it was claimed, or rule the name out.
    """
    if not HUB_NAME.fullmatch(name) or "--" in name or ".." in name:
        raise BadInput(
            f"{field}: {name[:100]!r} is no name for a model; give --name with letters, digits, '.', '_' and '-'"
            " (96 at most, no '/')"
        )
    for terms in bindings:
        if terms.name_prefix and not name.startswith(terms.name_prefix):
            raise RefusedByTerms(
                f"{field}: {name!r} does not begin with {terms.name_prefix!r}, as the terms of the {terms.teacher}"
                f" demand ({terms.id}; {terms.source}); give --name {terms.name_prefix}-{name}"
            )


def require_right(terms: Sequence[TermsNotes]) -> None:
    """Stop where the dataset's own notes say that nobody had a right to train on it.

    Raises:
        RefusedByTerms: a verdict does not pass and no basis was claimed.
    """
    for one in terms:
        if one.verdict not in PASSING and not one.basis:
            raise RefusedByTerms(
                f"terms of {one.teacher}: training on its answers is {one.verdict} ({one.id}; {one.source}); state your"
                " right to it in the recipe's `terms`, collect and export again"
            )


def licence(terms: Sequence[TermsNotes] | None, base: BaseFacts) -> dict[str, str]:
    """The card's `license`, and its `license_name` where it is none that the hub lists.

    The base model's licence, where it is known and no obligation comes on top of it.
    """
    bound = [one.id for one in (*(terms or ()), *([base.terms] if base.terms else []))]
    bound = [one for one in bound if one not in _free(terms)]
    if bound:
        slug = re.sub(r"[^a-z0-9.]+", "-", "-and-".join(dict.fromkeys(bound)).lower()).strip("-")
        return {"license": "other", "license_name": f"terms-of-{slug}"[:96]}
    if terms is None or base.license is None:
        return {"license": "other", "license_name": "not-stated"}
    return {"license": base.license.lower()}


def _free(terms: Sequence[TermsNotes] | None) -> set[str]:
    return {one.id for one in terms or () if one.verdict == "allowed" and not one.obligations}
