"""JSON lines: one object a line."""

import json
import math
from collections.abc import Iterator
from typing import Any

from harvester.errors import BadInput
from harvester.seeds.finding import Source
from harvester.seeds.texts import opened
from harvester.seeds_spec import Seeds


def rows(source: Source, _: Seeds) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, fields) of every line that is not blank.

    Raises:
        BadInput: naming the file, the line and the mend.
    """
    with opened(source.path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, _decode(source, number, line)


def _decode(source: Source, number: int, line: str) -> dict[str, Any]:
    try:
        data = _DECODER.decode(line)
    except RecursionError:
        raise BadInput(f"{source}: line {number}: nested too deeply; make it flatter") from None
    except ValueError as error:
        raise BadInput(f"{source}: line {number}: not JSON: {error}") from None
    if not isinstance(data, dict):
        raise BadInput(f'{source}: line {number}: a seed is a JSON object, such as {{"text": ...}}')
    return data


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value; write it as text or null")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is beyond the range of a number; write it as text")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):  # the second would silently replace the first
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {twice[:80]!r} is given twice; remove one")
    return found


# `json.loads` would make one a line.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_once)
