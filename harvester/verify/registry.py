"""Names in a recipe's verify block ↔ the verifiers."""

from collections.abc import Mapping
from pathlib import Path

from harvester.errors import BadInput
from harvester.records import Json
from harvester.verify.base import BadSettings, Kind, Verifier
from harvester.verify.copied_span import COPIED_SPAN
from harvester.verify.date_in_text import DATE_IN_TEXT
from harvester.verify.json_schema import JSON_SCHEMA
from harvester.verify.names import did_you_mean
from harvester.verify.number_in_text import NUMBER_IN_TEXT

KINDS: dict[str, Kind] = {kind.name: kind for kind in (JSON_SCHEMA, COPIED_SPAN, NUMBER_IN_TEXT, DATE_IN_TEXT)}


def resolve(spec: Mapping[str, Json], folder: Path, *, where: str = "verify") -> dict[str, Json]:
    """A recipe's verify block, checked and made self-contained: files are read and stand in it themselves.

    A resolved block resolves to itself.

    Args:
        spec: verifier's name → its settings, or a list of settings.
        folder: the recipe's folder; files must lie inside it, links followed.
        where: the recipe's file and field, for messages.

    Raises:
        BadInput: an unknown verifier, a wrong setting or an unreadable file; names the field and the mend.
    """
    if not isinstance(spec, Mapping):
        raise BadInput(f"{where}: must map verifiers to their settings, not {spec!r}")
    resolved: dict[str, Json] = {}
    for name, settings in spec.items():
        if name not in KINDS:
            known = did_you_mean(name, KINDS) or f"; there are {', '.join(KINDS)}"
            raise BadInput(f"{where}.{name}: unknown verifier{known}")
        many = isinstance(settings, list)
        if settings in ([], None):
            raise BadInput(f"{where}.{name}: has no settings; add them or take the verifier away")
        done = [_resolve_one(KINDS[name], one, folder, f"{where}.{name}") for one in (settings if many else [settings])]
        resolved[name] = done if many else done[0]
    return resolved


def build(resolved: Mapping[str, Json]) -> tuple[Verifier, ...]:
    """The verifiers of a resolved block, in its order."""
    return tuple(
        KINDS[name].build(one)
        for name, settings in resolved.items()
        for one in (settings if isinstance(settings, list) else [settings])
    )


def _resolve_one(kind: Kind, settings: Json, folder: Path, where: str) -> Json:
    try:
        return kind.resolve(settings, folder, where)
    except BadSettings as bad:
        raise BadInput(f"{where}{bad.field}: {bad.mend}") from None
