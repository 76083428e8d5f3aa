"""Text files that a verifier's settings name."""

from pathlib import Path

from harvester.paths import inside
from harvester.text_files import readable


def read_text(folder: Path, name: str, *, where: str) -> str:
    """The text of a file of the recipe's folder.

    Raises:
        BadInput: there is no such file inside the folder, or it is no UTF-8 text.
    """
    path = inside(folder, name, where=where)
    with readable(path, where):
        return path.read_text(encoding="utf-8-sig")
