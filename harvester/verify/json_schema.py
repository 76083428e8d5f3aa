"""json_schema: the answer is JSON that fits a JSON Schema (draft 2020-12 unless `$schema` says another)."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harvester.errors import BadInput
from harvester.records import Check, Json
from harvester.verify.answers import read_json
from harvester.verify.base import REASON_CHARACTERS, BadSettings, Failed, Verifier, fingerprint
from harvester.verify.files import read_text


class JsonSchema:
    """The setting is a file of the recipe's folder, or the schema itself."""

    name = "json_schema"
    slow = False
    runs_recipe_code = False
    seed_settings = ()

    def resolve(self, settings: Json, folder: Path, where: str) -> Json:
        """Reads the schema's file, checks the schema, and returns it."""
        schema = settings
        if isinstance(settings, str):
            schema = _read(folder, settings, where)
        if not isinstance(schema, Mapping):
            raise BadSettings("", f"must be a schema's file or the schema itself, not {schema!r}")
        _check_schema(dict(schema))
        return dict(schema)

    def build(self, settings: Json) -> Verifier:
        """The verifier; its params name the schema by the start of its SHA-256, for it would stand in every row."""
        params = {"sha256": fingerprint(settings)}
        validator = _validator(settings)

        def verify(answer: str, seed: Mapping[str, Json]) -> Check:  # noqa: ARG001 - the common form of a verifier
            reason = _first_problem(validator, answer)
            return Check(self.name, params, passed=reason is None, reason=reason)

        return verify


JSON_SCHEMA = JsonSchema()


def _first_problem(validator: Any, answer: str) -> str | None:
    try:
        error = next(validator.iter_errors(read_json(answer)), None)
        if error is None:
            return None
        return f"{error.json_path}: {' '.join(error.message.split())}"[:REASON_CHARACTERS]
    except Failed as failed:
        return failed.reason
    except RecursionError:
        return "nested too deeply"


def _validator(schema: Json) -> Any:
    import jsonschema  # noqa: PLC0415 - 0.1 s that only recipes with a schema should pay
    import referencing  # noqa: PLC0415 - as above

    draft = schema.get("$schema", jsonschema.Draft202012Validator.META_SCHEMA["$id"])
    draft_of: Any = jsonschema.validators.validator_for  # its type knows no "nothing found", its code does
    of_draft = draft_of({"$schema": draft}, default=None) if isinstance(draft, str) else None
    if of_draft is None:
        raise BadSettings(".$schema", f"{draft!r} is no known draft; leave it out for draft 2020-12")
    # An empty registry: the library's default would fetch remote references from the network.
    return of_draft(schema, registry=referencing.Registry(), format_checker=of_draft.FORMAT_CHECKER)


def _check_schema(schema: dict[str, Json]) -> None:
    import jsonschema  # noqa: PLC0415 - see _validator
    import referencing.exceptions  # noqa: PLC0415 - see _validator

    validator = _validator(schema)
    try:
        validator.check_schema(schema)
        for reference in _references(schema):
            if not reference.startswith("#"):
                raise BadSettings("", f"$ref {reference!r} leaves the schema; copy its target under $defs")
            validator._resolver.lookup(reference)  # noqa: SLF001 - no public way to ask whether a reference resolves
    except jsonschema.SchemaError as error:
        raise BadSettings("", f"not a JSON Schema: {error.json_path}: {error.message[:REASON_CHARACTERS]}") from None
    except referencing.exceptions.Unresolvable as error:
        raise BadSettings("", f"$ref {error.ref!r} has no target; add it under $defs") from None
    except RecursionError:
        raise BadSettings("", "the schema is nested too deeply") from None


def _references(schema: Json) -> Iterator[str]:
    if isinstance(schema, Mapping):
        for key, value in schema.items():
            if key in ("$ref", "$dynamicRef") and isinstance(value, str):
                yield value
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _read(folder: Path, name: str, where: str) -> Json:
    text = read_text(folder, name, where=where)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: {folder / name} is not JSON: {error}") from None
