"""Names in a recipe's verify block ↔ the verifiers."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from harvester.errors import BadInput
from harvester.records import Json
from harvester.verify.arithmetic import ARITHMETIC
from harvester.verify.base import BadSettings, Kind, Verifier
from harvester.verify.citations import CITATIONS
from harvester.verify.code_tests import CODE
from harvester.verify.copied_span import COPIED_SPAN
from harvester.verify.date_in_text import DATE_IN_TEXT
from harvester.verify.json_schema import JSON_SCHEMA
from harvester.verify.labels import LABELS
from harvester.verify.language import LANGUAGE
from harvester.verify.length import LENGTH
from harvester.verify.mathematics import MATH
from harvester.verify.names import did_you_mean
from harvester.verify.number_in_text import NUMBER_IN_TEXT
from harvester.verify.python_function import PYTHON
from harvester.verify.refusal import REFUSAL
from harvester.verify.regex_match import REGEX

ALL: tuple[Kind, ...] = (
    JSON_SCHEMA,
    COPIED_SPAN,
    NUMBER_IN_TEXT,
    DATE_IN_TEXT,
    LABELS,
    REGEX,
    MATH,
    ARITHMETIC,
    CODE,
    CITATIONS,
    LANGUAGE,
    LENGTH,
    REFUSAL,
    PYTHON,
)
KINDS = {kind.name: kind for kind in ALL}


def resolve(spec: Mapping[str, Json], folder: Path, *, where: str = "verify", trust: bool = False) -> dict[str, Json]:
    """A recipe's verify block, checked and made self-contained: files are read and stand in it themselves.

    A resolved block resolves to itself.

    Args:
        spec: verifier's name → its settings, or a list of settings.
        folder: the recipe's folder; files must lie inside it, links followed.
        where: the recipe's file and field, for messages.
        trust: whether the block may name code of its author's that is then run (`python`).

    Raises:
        BadInput: an unknown verifier, a wrong setting, an unreadable file, code without `trust`, or no sandbox for
            `code`; names the field and the mend.
    """
    if not isinstance(spec, Mapping):
        raise BadInput(f"{where}: must map verifiers to their settings, not {spec!r}")
    resolved: dict[str, Json] = {}
    for name, settings in spec.items():
        if name not in KINDS:
            known = did_you_mean(name, KINDS) or f"; there are {', '.join(KINDS)}"
            raise BadInput(f"{where}.{name}: unknown verifier{known}")
        kind = KINDS[name]
        if kind.runs_recipe_code and not trust:
            raise BadInput(
                f"{where}.{name}: runs code of the recipe's author on this machine; read it, then add --trust-recipe"
            )
        if settings in ([], None):
            raise BadInput(f"{where}.{name}: has no settings; add them or take the verifier away")
        if isinstance(settings, list):
            parts = [(one, f"{where}.{name}.{index}") for index, one in enumerate(settings)]
            resolved[name] = [_resolve_one(kind, one, folder, part) for one, part in parts]
        else:
            resolved[name] = _resolve_one(kind, settings, folder, f"{where}.{name}")
    return resolved


def build(resolved: Mapping[str, Json]) -> tuple[Verifier, ...]:
    """The verifiers of a resolved block, in its order.

    They run what code the block holds: one that comes with a dataset or a store goes through `resolve` first.
    """
    return tuple(kind.build(settings) for _, kind, settings in _each(resolved))


def is_slow(resolved: Mapping[str, Json]) -> bool:
    """Whether a resolved block has a verifier that takes long or waits for another process."""
    return any(kind.slow for _, kind, _ in _each(resolved))


def seed_fields(resolved: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    """(setting, field of the seed it names): ("copied_span.source", "text"), in lists ("code.0.tests", "tests")."""
    for where, kind, settings in _each(resolved):
        for setting in kind.seed_settings:
            if isinstance(field := settings.get(setting), str):
                yield f"{where}.{setting}", field


def _each(resolved: Mapping[str, Json]) -> Iterator[tuple[str, Kind, Json]]:
    """(name, kind, settings) for each verifier of a block."""
    for name, settings in resolved.items():
        if isinstance(settings, list):
            yield from ((f"{name}.{index}", KINDS[name], one) for index, one in enumerate(settings))
        else:
            yield name, KINDS[name], settings


def _resolve_one(kind: Kind, settings: Json, folder: Path, where: str) -> Json:
    try:
        return kind.resolve(settings, folder, where)
    except BadSettings as bad:
        raise BadInput(f"{where}{bad.field}: {bad.mend}") from None
