"""A secret in a seed of any format is told by the place where it was read."""

from pathlib import Path
from typing import Any

import pytest

from harvester.errors import BadInput
from harvester.secrets_in_seeds import Scan, Secret, require_none
from harvester.seeds import read_seeds

SECRET = "ghp_" + "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb7d"  # put together here: no scanner shall take it for a real one


@pytest.mark.parametrize(
    ("name", "text", "unit", "number"),
    [
        ("a.csv", f'text\n"two\nlines"\n{SECRET}\n', "line", 4),
        ("a.jsonl", f'{{"text": "a"}}\n\n{{"text": "{SECRET}"}}\n', "line", 3),
        ("a.txt", "Grass is green. " * 400 + SECRET, "chunk", 4),
    ],
)
def test_its_place_is_told_in_the_units_of_the_file(
    stated: Any, root: Path, name: str, text: str, unit: str, number: int
) -> None:
    (root / name).write_text(text, encoding="utf-8")
    recipe = stated(name)
    scan = Scan(recipe)
    for seed in read_seeds(recipe):
        scan.look(seed, [{"role": "user", "content": str(seed.data["text"])}])
    assert scan.found == (Secret(str(root / name), number, "GitHub Token", unit),)
    with pytest.raises(BadInput, match=rf"{name}: {unit} {number}: GitHub Token: collecting would send"):
        require_none(scan.found)
