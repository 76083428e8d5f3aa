"""Seed files → seeds, streaming."""

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harvester.errors import BadInput
from harvester.paths import inside
from harvester.recipe import Recipe
from harvester.records import Json, Seed, canonical, digest

REFERENCE = "reference"
"""The seed field that holds the right answer: kept from templates and verifiers, it only scores the test split."""

ID_LENGTH = 32  # 128 bits of SHA-256: no collisions to expect below 10^15 seeds


def read_seeds(recipe: Recipe) -> Iterator[Seed]:
    """Every seed of the recipe, file by file: train, then dev, then held-out.

    Raises:
        BadInput: naming the file, the line and the mend.
    """
    for split, path in _paths(recipe):
        yield from _read_file(path, split)


def files_digest(recipe: Recipe) -> str:
    """SHA-256 over the bytes of the seed files and their splits: unchanged seeds need no new plan."""
    digests = []
    for split, path in _paths(recipe):
        try:
            with path.open("rb") as file:
                digests.append([split, hashlib.file_digest(file, "sha256").hexdigest()])
        except OSError as error:
            raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    return digest(digests)


def _paths(recipe: Recipe) -> Iterator[tuple[str, Path]]:
    for split, spec in recipe.seed_files:
        field = {"train": "seeds", "test": "heldout"}.get(split, split)
        yield split, inside(recipe.folder, spec.path, where=f"{recipe.path}: {field}.path")


def _read_file(path: Path, split: str) -> Iterator[Seed]:
    seen: dict[int, int] = {}
    empty = True
    for number, line in _lines(path):
        data, reference, seed_id = _decode(path, number, line)
        # The same seed twice is two rows: its second copy gets an identity of its own.
        short = int(seed_id[:15], 16)
        copies = seen[short] = seen.get(short, 0) + 1
        if copies > 1:
            seed_id = digest([seed_id, copies])[:ID_LENGTH]
        empty = False
        yield Seed(seed_id, split, data, reference)
    if empty:
        raise BadInput(f"{path}: has no seeds; write one JSON object per line")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    if path.suffix != ".jsonl":
        raise BadInput(f"{path}: seeds are read from .jsonl files, one JSON object per line; convert it")
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 text: {error.reason}; save it as UTF-8") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None


def _decode(path: Path, number: int, line: str) -> tuple[dict[str, Any], Json, str]:
    """(fields, reference, seed id) of a line."""
    try:
        data = _DECODER.decode(line)
    except RecursionError:
        raise BadInput(f"{path}: line {number}: nested too deeply") from None
    except ValueError as error:
        raise BadInput(f"{path}: line {number}: not JSON: {error}") from None
    if not isinstance(data, dict):
        raise BadInput(f'{path}: line {number}: a seed is a JSON object, such as {{"text": ...}}')
    reference = data.pop(REFERENCE, None)
    try:
        canonical(reference)
        seed_id = digest(data)[:ID_LENGTH]
    except (UnicodeEncodeError, RecursionError):
        raise BadInput(f"{path}: line {number}: holds half of a surrogate pair (\\ud800 alone); remove it") from None
    return data, reference, seed_id


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is beyond the range of a number; write it as text")
    return value


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)  # `json.loads` makes one a line
