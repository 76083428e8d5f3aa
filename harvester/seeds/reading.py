"""Every row of every source → a seed with an identity."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from harvester.errors import BadInput
from harvester.recipe import Recipe
from harvester.records import Seed, canonical, digest
from harvester.seeds.finding import Source, find
from harvester.seeds.hashing import sources_digest
from harvester.seeds_spec import Seeds

REFERENCE = "reference"
"""The seed field that holds the right answer: kept from templates and verifiers, it only scores the test split."""

SPLITS = ("train", "dev", "test")
ID_LENGTH = 32  # 128 bits of SHA-256: no collisions to expect below 10^15 seeds

Fields = dict[str, Any]
Row = tuple[Source, int, Fields]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a seed was read: `unit` is line, row or chunk."""

    file: str
    unit: str
    number: int

    def __str__(self) -> str:
        return f"{self.file}: {self.unit} {self.number}"


def read_seeds(recipe: Recipe, splits: Collection[str] = SPLITS) -> Iterator[Seed]:
    """Every seed of the recipe, split by split: train, then dev, then held-out (`test`).

    Raises:
        BadInput: naming the file, the line or row, and the mend.
    """
    for split, spec, where in _specs(recipe):
        if split not in splits:
            continue
        yield from _seeds(read_rows(recipe.folder, spec, where), split)


def files_digest(recipe: Recipe) -> str:
    """SHA-256 over everything that seeds are read from, and how: with the same digest they are the same seeds.

    Raises:
        BadInput: as `read_seeds`, of files that are not there.
    """
    return digest(
        [
            [split, sources_digest(find(recipe.folder, spec, where), spec, recipe.folder)]
            for split, spec, where in _specs(recipe)
        ]
    )


def places(recipe: Recipe, split: str, numbers: Collection[int]) -> dict[int, Place]:
    """Where the seeds of a split with these numbers, from 1 on, were read. It reads them again."""
    wanted = set(numbers)
    found = {}
    for own, spec, where in _specs(recipe):
        if own == split and wanted:
            rows = islice(read_rows(recipe.folder, spec, where), max(wanted))
            for number, (source, place, _) in enumerate(rows, start=1):
                if number in wanted:
                    found[number] = Place(str(source), source.unit, place)
    return found


@contextmanager
def telling_where(recipe: Recipe, position: int) -> Iterator[None]:
    """Around whatever is done with one seed of `read_seeds`, counted from 0: its errors tell where the seed stands.

    The seeds are read again for that.

    Raises:
        BadInput: the error, with the seed's file and line, row or chunk.
    """
    try:
        yield
    except BadInput as error:
        rows = (row for _, spec, where in _specs(recipe) for row in read_rows(recipe.folder, spec, where))
        source, number, _ = next(islice(rows, position, None))
        raise BadInput(f"{error} (in {Place(str(source), source.unit, number)})") from None


def _specs(recipe: Recipe) -> Iterator[tuple[str, Seeds, str]]:
    for split, spec in recipe.seed_files:
        field = {"train": "seeds", "test": "heldout"}.get(split, split)
        yield split, spec, f"{recipe.path}: {field}"


def _seeds(rows: Iterator[Row], split: str) -> Iterator[Seed]:
    seen: dict[int, int] = {}
    for source, number, data in rows:
        reference = data.pop(REFERENCE, None)
        try:
            canonical(reference)
            seed_id = digest(data)[:ID_LENGTH]
        except (UnicodeEncodeError, RecursionError):
            raise BadInput(
                f"{source}: {source.unit} {number}: holds half of a surrogate pair (\\ud800 alone); remove it"
            ) from None
        # The same seed twice is two rows: its second copy gets an identity of its own.
        short = int(seed_id[:15], 16)
        copies = seen[short] = seen.get(short, 0) + 1
        if copies > 1:
            seed_id = digest([seed_id, copies])[:ID_LENGTH]
        yield Seed(seed_id, split, data, reference)


def read_rows(folder: Path, spec: Seeds, where: str) -> Iterator[Row]:
    """(source, line or row or chunk, fields), renamed, up to the limit; each source has one at least.

    Args:
        folder: the recipe's.
        spec: what it says of them.
        where: its file and field, for messages.

    Raises:
        BadInput: as `read_seeds`.
    """
    return islice(_all_rows(folder, spec, where), spec.limit)


def _all_rows(folder: Path, spec: Seeds, where: str) -> Iterator[Row]:
    documents = None
    for source in find(folder, spec, where):
        if source.document:
            if documents is None:
                documents = import_module("harvester.seeds.documents").Documents(folder, spec, where)
            rows: Iterator[tuple[int, Fields]] = documents.rows(source)
        else:
            rows = import_module(f"harvester.seeds.{source.kind}").rows(source, spec)  # each loads its own library
        empty = True
        for number, data in rows:
            empty = False
            yield source, number, _renamed(data, spec.columns, source, number) if spec.columns else data
        if empty:
            mend = "write one JSON object per line" if source.kind == "json_lines" else "add rows or take it out"
            raise BadInput(f"{source}: has no seeds; {mend}")


def _renamed(data: Fields, columns: dict[str, str], source: Source, number: int) -> Fields:
    where = f"{source}: {source.unit} {number}"
    if missing := [old for old in columns.values() if old not in data]:
        raise BadInput(f"{where}: has no {missing[0]!r}, which `columns` renames; it has {', '.join(data)[:200]}")
    old_names = set(columns.values())
    renamed = {new: data[old] for new, old in columns.items()}
    kept = {name: value for name, value in data.items() if name not in old_names}
    if twice := renamed.keys() & kept.keys():
        raise BadInput(f"{where}: already has a {min(twice)!r}; choose another new name in `columns`")
    return renamed | kept
