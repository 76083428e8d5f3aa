"""Text files that a verifier's settings name."""

from pathlib import Path

from harvester.errors import BadInput
from harvester.paths import inside


def read_text(folder: Path, name: str, *, where: str) -> str:
    """The text of a file of the recipe's folder.

    Raises:
        BadInput: there is no such file inside the folder, or it is no UTF-8 text.
    """
    path = inside(folder, name, where=where)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{where}: {path} is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise BadInput(f"{where}: {path} cannot be read: {error.strerror}") from None
