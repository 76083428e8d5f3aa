"""`harvester init`: a folder with a recipe to edit."""

import shutil
from pathlib import Path

from harvester.errors import BadInput

DEFAULT = "extract-orders"


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
        BadInput: no such recipe, `target` is a file or holds something else, or it cannot be written.
    """
    known = recipes()
    if recipe not in known:
        raise BadInput(f"--recipe: there is no recipe {recipe!r}; there are: {', '.join(known)}")
    if target.exists() and not target.is_dir():
        raise BadInput(f"{target}: is a file; name a folder")
    if target.is_dir() and any(target.iterdir()) and not (target / "recipe.yaml").exists():
        raise BadInput(f"{target}: is not empty and holds no recipe; name a new folder")
    written = []
    try:
        for source in sorted(path for path in known[recipe].rglob("*") if path.is_file()):
            if "__pycache__" in source.parts:
                continue
            copy = target / source.relative_to(known[recipe])
            if not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, copy)
                written.append(copy)
    except OSError as error:
        raise BadInput(f"{target}: cannot be written: {error.strerror}") from None
    return written
