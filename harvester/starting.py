"""`harvester init`: a folder with a recipe to edit."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import yaml

from harvester.errors import BadInput

DEFAULT = "extract-orders"
MADE = ("harvester.json", "run.json")
"""What marks a folder as a dataset or a student's run."""


def recipes() -> dict[str, Path]:
    """Name → folder of every recipe that comes with Harvester."""
    here = Path(__file__).parent
    # An installed Harvester carries the folder inside the package; a checkout has it beside the package.
    root = next((path for path in (here / "prompts", here.parent / "prompts") if path.is_dir()), None)
    if root is None:
        return {}
    return {path.parent.name: path.parent for path in sorted(root.glob("*/recipe.yaml"))}


def about(folder: Path) -> str:
    """The first line of prose in a recipe's README."""
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    return next((line.strip() for line in lines if line.strip() and not line.startswith("#")), "")


def init(target: Path, recipe: str = DEFAULT) -> list[Path]:
    """Copy a recipe's folder to `target` and return the files that were written.

    Files that are there already stay as they are: an edited recipe is never overwritten.

    Raises:
        BadInput: no such recipe, `target` is a file or holds another recipe or something else, or it cannot be written.
    """
    known = recipes()
    if recipe not in known:
        raise BadInput(f"--recipe: there is no recipe {recipe!r}; there are: {', '.join(known)}")
    written = []
    try:
        if target.exists() and not target.is_dir():
            raise BadInput(f"{target}: is a file; name a folder")
        if target.is_dir() and any(target.iterdir()) and not (target / "recipe.yaml").exists():
            raise BadInput(f"{target}: is not empty and holds no recipe; name a new folder")
        _require_the_same(target, known[recipe], recipe)
        for source in _own_files(known[recipe]):
            copy = target / source.relative_to(known[recipe])
            if not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, copy)
                written.append(copy)
    except OSError as error:
        raise BadInput(f"{target}: cannot be written: {error.strerror}; name another folder") from None
    return written


def _require_the_same(target: Path, source: Path, recipe: str) -> None:
    """Refuse a folder of another recipe: the files of both would lie there, and the old recipe would still be run."""
    there, new = _name_in(target), _name_in(source)
    if there is not None and there != new:
        raise BadInput(f"{target}: holds the recipe {there!r} already, which is not {recipe}; name a new folder")


def _name_in(folder: Path) -> str | None:
    """The name that the recipe in a folder states; None where there is none, or it cannot be read."""
    try:
        read = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return None
    return str(read["name"]) if isinstance(read, dict) and "name" in read else None


def _own_files(folder: Path) -> Iterator[Path]:
    """The files of a recipe, without what collecting, exporting and training in its folder left there."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "harvest.db")) or path.name == "__pycache__":
            continue
        if path.is_file():
            yield path
        elif path.is_dir() and not any((path / made).exists() for made in MADE):
            yield from _own_files(path)
