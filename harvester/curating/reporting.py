"""curation.json and curation.html: what was dropped and why, for people and for programs."""

import json
from pathlib import Path

import jinja2

from harvester.errors import BadInput
from harvester.records import Json

FACTS, PAGE = "curation.json", "curation.html"


def write_report(folder: Path, found: dict[str, Json]) -> Path:
    """Write both files; returns the page's path.

    Args:
        folder: where to.
        found: of `findings`.

    Raises:
        BadInput: the folder cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harvester.curating", "."), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("report.html.j2").render(found=found, share=_share, facts=_facts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FACTS).write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (folder / PAGE).write_text(page, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written: {error.strerror}; name another folder with --report") from error
    return folder / PAGE


def _share(part: int, whole: int) -> float:
    """In per cent; of nothing, nothing."""
    return round(100 * part / whole, 2) if whole else 0.0


def _facts(detail: dict[str, Json]) -> str:
    """A drop's detail on one line."""
    return ", ".join(f"{name}: {value}" for name, value in detail.items())
