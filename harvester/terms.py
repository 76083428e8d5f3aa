"""May answers of this teacher train a student? A registry of facts with dates and sources, not legal advice."""

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from harvester.errors import BadInput, RefusedByTerms
from harvester.yaml_text import packaged

STRICTNESS = ("allowed", "conditions", "unknown", "forbidden-competing", "forbidden")
PASSING = frozenset({"allowed", "conditions"})
CLAIMED = "claimed by the user, not checked"
NOT_IN_REGISTRY = "not-in-registry"
DECLARED = "declared:"
LISTED_RULES = ("show", "pass_on")
GATHERED = {"obligations": "obligations", "name_prefixes": "name_prefix", "show": "show", "pass_on": "pass_on"}
"""What binds whoever uses all of several teachers' answers → what states it of one of them."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What binds one teacher, as it stood when the request was made; stored with every reply."""

    id: str  # registry entries joined by "+", or "declared:<licence>"
    verdict: str
    as_of: str
    obligations: tuple[str, ...] = ()
    source: str = ""
    basis: str | None = None  # the user's own statement, where the verdict alone would refuse
    accepted_by: str | None = None  # the person who answers for the basis
    name_prefix: str | None = None  # how a student's name begins
    show: tuple[str, ...] = ()  # words that a student's card shows as they stand
    pass_on: tuple[str, ...] = ()  # texts to hand along with a student, and where they are


class _Entry(BaseModel):
    """What terms.yaml says of one host, model or licence."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    verdict: Literal["allowed", "conditions", "unknown", "forbidden-competing", "forbidden"]
    as_of: date | None = None
    source: str = ""
    obligations: tuple[str, ...] = ()
    name_prefix: str | None = None
    show: tuple[str, ...] = ()
    pass_on: tuple[str, ...] = ()


class _Host(_Entry):
    host: str
    covers_models: bool = False


class _Model(_Entry):
    match: str | list[str]
    inside: bool = False
    closed: bool = False
    license: str | None = None


class _Registry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    hosts: tuple[_Host, ...]
    models: tuple[_Model, ...]
    licenses: tuple[_Entry, ...]


@cache
def _registry() -> dict[str, Any]:
    """Lists of the entries, each with the keys that it states."""
    return _Registry.model_validate(packaged("terms.yaml")).model_dump(exclude_unset=True)


def entries(kind: str) -> list[dict[str, Any]]:
    """The registry as it stands: its `hosts`, `models` or `licenses`."""
    return [dict(entry) for entry in _registry()[kind]]


def of_host(host: str) -> dict[str, Any] | None:
    """What the registry says of a host; None where it says nothing."""
    host = host.rstrip(".").lower()  # api.openai.com. is the same host
    for entry in _registry()["hosts"]:
        if host == entry["host"] or host.endswith("." + entry["host"]):
            return dict(entry)
    return None


def _model_entry(model: str) -> dict[str, Any] | None:
    model = model.strip().lower()
    name = model.rsplit("/", 1)[-1]
    entries = _registry()["models"]
    for entry in entries:
        if _matches(name, entry["match"]):
            return dict(entry)
    # No model of that name; gateways and fine-tunes put a maker's name inside theirs (ft:gpt-4o:…, azure-gpt-4o).
    parts = [model[start.end() :] for start in re.finditer(r"^|[^a-z0-9]", model)]
    found = [entry for part in parts if (entry := _part_entry(part))]
    return next((entry for entry in found if entry.get("closed")), found[0] if found else None)


def _part_entry(part: str) -> dict[str, Any] | None:
    """The first entry for a part of a name, of those that are looked for inside names."""
    entries = (entry for entry in _registry()["models"] if entry.get("closed") or entry.get("inside"))
    return next((entry for entry in entries if _matches(part, entry["match"])), None)


def _matches(name: str, patterns: str | list[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, one) for one in ([patterns] if isinstance(patterns, str) else patterns))


def _license_entry(name: str, where: str) -> dict[str, Any]:
    for entry in _registry()["licenses"]:
        if entry["id"].lower() == name.lower():
            return dict(entry)
    known = ", ".join(str(entry["id"]) for entry in _registry()["licenses"])
    raise BadInput(f"{where}.license: {name!r} is not in the registry of licences ({known}); state a basis instead")


def look_up(host: str | None, model: str, declared: Mapping[str, Any] | None, *, where: str) -> Terms:
    """The terms of a teacher: its host's and its model's, the stricter first.

    Args:
        host: the API's host name; None for a model that runs on the user's own machine.
        model: the model's name as it is sent.
        declared: the recipe's `terms.<teacher>` block: `license`, or `basis` with `accepted_by`.
        where: the recipe's file and field, for messages.

    Raises:
        BadInput: the declared licence is not one the registry knows.
    """
    declared = declared or {}
    host_entry, model_entry = of_host(host or ""), _model_entry(model)
    covered = host_entry is not None and bool(host_entry.get("covers_models"))
    if covered and not (model_entry or {}).get("closed"):
        model_entry = None  # the maker's own API: its terms are the whole agreement
    entries = [entry for entry in (host_entry, model_entry) if entry]
    if model_entry is None and not covered:
        if declared.get("license"):
            licence = _license_entry(declared["license"], where)
            entries.append({**licence, "id": f"{DECLARED}{licence['id']}", "as_of": "", "source": CLAIMED})
        else:
            entries.append({"id": NOT_IN_REGISTRY, "verdict": "unknown", "as_of": "", "source": "no entry found"})
    binding = max(entries, key=lambda entry: strictness(entry["verdict"]))
    return Terms(
        id="+".join(str(entry["id"]) for entry in entries),
        verdict=str(binding["verdict"]),
        as_of=str(binding["as_of"]),
        obligations=tuple(_each_of(entry.get("obligations") for entry in entries)),
        source="; ".join(dict.fromkeys(str(entry["source"]) for entry in entries)),
        basis=declared.get("basis"),
        accepted_by=declared.get("accepted_by"),
        **_rules(entries),
    )


def _rules(entries: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What a program can hold a student to: the first prefix of its name, every text to show and to pass on."""
    entries = list(entries)
    return {
        "name_prefix": next((entry["name_prefix"] for entry in entries if entry.get("name_prefix")), None),
        **{key: tuple(_each_of(entry.get(key) for entry in entries)) for key in LISTED_RULES},
    }


def with_rules(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Terms as a store keeps them, with the rules for a student's name and card.

    Stores that are older than these rules do not carry them; they follow from the entries that the id names.
    """
    if "name_prefix" in stored:
        return dict(stored)
    ids = set(str(stored.get("id", "")).replace(DECLARED, "").split("+"))
    known = [entry for kind in ("hosts", "models", "licenses") for entry in entries(kind) if entry["id"] in ids]
    return {**stored, **_rules(known)}


def strictness(verdict: str) -> int:
    """The place of a verdict from the most permissive (0) on; one that this version does not know comes last."""
    return STRICTNESS.index(verdict) if verdict in STRICTNESS else len(STRICTNESS)


def require_verdict(verdict: str | None, *, where: str) -> None:
    """Refuse what is no verdict of the registry's; None is none asked for.

    Raises:
        BadInput: it is another word.
    """
    if verdict is not None and verdict not in STRICTNESS:
        raise BadInput(f"{where}: {verdict[:40]!r} is no verdict; name one of {', '.join(STRICTNESS)}")


def strictest(verdicts: Iterable[str]) -> str | None:
    """The verdict that binds a whole; None of nothing."""
    return max(verdicts, key=strictness, default=None)


def together(bindings: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What binds whoever uses answers of several teachers: the strictest verdict, and every rule of each.

    Args:
        bindings: terms as a store keeps them, with their rules.

    Returns:
        `verdict`, None where there are none, and lists by the names of `GATHERED`.
    """
    bindings = list(bindings)
    return {
        "verdict": strictest(binding["verdict"] for binding in bindings),
        **{name: _each_of(binding.get(one) for binding in bindings) for name, one in GATHERED.items()},
    }


def _each_of(stated: Iterable[str | Iterable[str] | None]) -> list[str]:
    """Every text once, in the order in which they come."""
    several = ([texts] if isinstance(texts, str) else texts or () for texts in stated)
    return list(dict.fromkeys(text for texts in several for text in texts))


def require(terms: Terms, *, teacher: str, where: str) -> None:
    """Let the teacher pass, or refuse it before its first request.

    Raises:
        RefusedByTerms: the verdict is not allowed or conditions, and the user stated no basis.
    """
    if terms.verdict in PASSING or terms.basis:
        return
    mend = f"state your right to it in the recipe: terms: {{{teacher}: {{basis: ..., accepted_by: ...}}}}"
    if _declaring_would_do(terms):
        mend = f"declare the model's licence in the recipe: terms: {{{teacher}: {{license: Apache-2.0}}}}, or {mend}"
    raise RefusedByTerms(
        f"{where}: training on this teacher's answers is {terms.verdict} ({terms.id}; {terms.source}); {mend}"
    )


def _declaring_would_do(terms: Terms) -> bool:
    """Whether a declared licence lets the teacher pass: nobody knows the model, and the host alone would pass."""
    ids = terms.id.split("+")
    hosts = [entry for entry in _registry()["hosts"] if entry["id"] in ids]
    return NOT_IN_REGISTRY in ids and all(entry["verdict"] in PASSING for entry in hosts)
