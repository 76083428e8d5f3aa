"""What a dataset was made from: the recipe's file and its seeds."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from harvester.errors import BadInput
from harvester.recipe import Recipe
from harvester.seeds.finding import HUB, Source, find
from harvester.seeds_spec import Seeds


@dataclass(frozen=True, slots=True)
class SeedFiles:
    """The seeds of one split."""

    split: str
    path: str  # as the recipe states it
    license: str | None
    sha256: str | None  # of the file; of several, over their digests; None where they are not there any more
    datasets: tuple[str, ...]  # ids on the hub


def seed_files(recipe: Recipe) -> list[SeedFiles]:
    """The recipe's seeds as they are now; an export does not need them, so what is missing is no error."""
    return [_of(recipe.folder, split, seeds) for split, seeds in recipe.seed_files]


def recipe_digest(recipe: Recipe) -> str:
    """SHA-256 (hex) of the recipe's file."""
    return hashlib.sha256(recipe.text.encode()).hexdigest()


def _of(folder: Path, split: str, seeds: Seeds) -> SeedFiles:
    try:
        sources = find(folder, seeds, "seeds")
        digest = _digest(sources)
    except (BadInput, OSError):
        sources, digest = [], None
    datasets = tuple(source.name for source in sources if _is_on_the_hub(source))
    return SeedFiles(split, seeds.label, seeds.license, digest, datasets)


def _is_on_the_hub(source: Source) -> bool:
    return source.kind == HUB and not source.files


def _digest(sources: list[Source]) -> str | None:
    if any(map(_is_on_the_hub, sources)):
        return None
    digests = []
    for path in (path for source in sources for path in source.files):
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256"))
    return digests[0].hexdigest() if len(digests) == 1 else _over([one.digest() for one in digests])


def _over(digests: list[bytes]) -> str:
    return hashlib.sha256(b"".join(digests)).hexdigest()
