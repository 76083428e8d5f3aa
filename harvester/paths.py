"""Paths that a recipe names stay inside the recipe's folder."""

from pathlib import Path

from harvester.errors import BadInput


def inside(folder: Path, name: str, *, where: str) -> Path:
    """The file `name` of `folder`.

    Args:
        folder: the recipe's folder.
        name: a relative path, as the recipe states it.
        where: the recipe's file and field, for messages.

    Raises:
        BadInput: the path leaves the folder (also through a link), or there is no such file.
    """
    path = folder / name
    try:
        leaves = not path.resolve().is_relative_to(folder.resolve())
        found = path.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # too long, NUL, a loop of links
        problem = getattr(error, "strerror", None) or error
        raise BadInput(f"{where}: {name[:80]!r} is not a usable path: {problem}; name a file of {folder}") from None
    if leaves:
        raise BadInput(f"{where}: {name} is outside the recipe's folder; copy it into {folder}")
    if not found:
        raise BadInput(f"{where}: there is no file {path}")
    return path
