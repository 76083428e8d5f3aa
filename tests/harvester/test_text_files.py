"""A text file that is not UTF-8 is told in the same words, whoever reads it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harvester.errors import BadInput
from harvester.seeds.plain import read
from harvester.templating import Template
from harvester.verify import resolve

READERS: dict[str, Callable[[Path, str], Any]] = {
    "a template": lambda folder, name: Template(folder, name, where="recipe.yaml: steps.0.prompt"),
    "labels": lambda folder, name: resolve({"labels": {"of": name}}, folder),
    "a schema": lambda folder, name: resolve({"json_schema": name}, folder),
    "a document": lambda folder, name: read(folder / name),
}


@pytest.mark.parametrize("reading", READERS.values(), ids=READERS)
def test_the_file_the_line_and_the_mend_are_named(tmp_path: Path, reading: Callable[[Path, str], Any]) -> None:
    (tmp_path / "latin.txt").write_bytes(b"one\ncaf\xe9\n")
    with pytest.raises(BadInput, match=r"latin.txt: not UTF-8 text: line 2: .*; save it as UTF-8$"):
        reading(tmp_path, "latin.txt")


@pytest.mark.parametrize("reading", READERS.values(), ids=READERS)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reading: Callable[[Path, str], Any]
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "locked.txt").write_text("text")
    for opening in ("open", "read_text", "read_bytes"):
        monkeypatch.setattr(Path, opening, refuse)
    with pytest.raises(BadInput, match=r"locked.txt: cannot be read: Permission denied$"):
        reading(tmp_path, "locked.txt")
