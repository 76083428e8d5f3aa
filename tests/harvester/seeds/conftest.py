"""Seeds of a recipe's folder, read; and a PDF made by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harvester.recipe import Recipe
from harvester.records import Seed
from harvester.seeds import read_seeds
from harvester.seeds_spec import Seeds


@pytest.fixture
def stated(folder: Any) -> Callable[..., Recipe]:
    """What a recipe says of its seeds → the recipe."""
    (folder.path / "train.jsonl").unlink()
    loaded = Recipe.load(folder.path)
    return lambda path, **options: loaded.model_copy(update={"seeds": Seeds(path=path, **options)})


@pytest.fixture
def read(stated: Callable[..., Recipe]) -> Callable[..., list[Seed]]:
    """What a recipe says of its seeds → the seeds."""
    return lambda path, **options: list(read_seeds(stated(path, **options)))


@pytest.fixture
def root(folder: Any) -> Path:
    """The recipe's folder."""
    path: Path = folder.path
    return path


@pytest.fixture
def write_pdf() -> Callable[..., None]:
    return pdf


def pdf(path: Path, pages: list[str], title: str | None = None) -> None:
    """A PDF of one line a page; a page without text has none."""
    texts = [f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode("latin-1") if text else b"" for text in pages]
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {len(pages)} /Kids [{kids}] >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, text in enumerate(texts):
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * number} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>".encode(),
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text),
        ]
    objects.append(f"<< /Title ({title}) >>".encode() if title else b"<< >>")
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n%strailer\n" % (size, table)
    out += b"<< /Size %d /Root 1 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        size,
        len(objects),
        out.index(b"xref"),
    )
    path.write_bytes(out)
