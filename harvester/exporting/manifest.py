"""harvester.json: how the dataset was made, for programs (docs/design/005-dataset.md)."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harvester import __version__
from harvester.exporting.making import are_picked
from harvester.exporting.origins import SeedFiles, recipe_digest
from harvester.pricing import usd
from harvester.recipe import Recipe
from harvester.terms import together

if TYPE_CHECKING:
    from harvester.exporting.dataset import Exported

FORMAT = 1
MANIFEST = "harvester.json"


def write_manifest(recipe: Recipe, folder: Path, exported: "Exported", seeds: Sequence[SeedFiles]) -> None:
    """Write `harvester.json` into the dataset's folder."""
    wanted = exported.wanted
    manifest = {
        "format": FORMAT,
        "harvester": __version__,
        "recipe": recipe.name,
        "recipe_sha256": recipe_digest(recipe),
        "teacher": _teacher(recipe, recipe.teacher_name(recipe.answer_step)),
        "teachers": [_teacher(recipe, name) for name in recipe.asked_teachers],
        "terms": [_binding(terms) for terms in exported.terms.values()],
        "overall": together(exported.terms.values()),
        "only_terms": wanted.only_terms,
        "since": wanted.since and wanted.since.isoformat(),
        "min_score": wanted.min_score,
        "seeds": [asdict(one) for one in seeds],
        "student": {"instruction": recipe.student.instruction if recipe.student else None},
        "verify": recipe.demands(recipe.answer_step).of_answers,
        "picked": are_picked(recipe),
        "layout": wanted.format,
        "unfiltered": wanted.unfiltered,
        "rows": dict(sorted(exported.rows.items())),
        "asked": exported.asked,
        "accepted": exported.accepted,
        "curation": _curation(exported),
        "dropped": dict(sorted(exported.dropped.items())),
        "usd": usd(exported.cost_nusd),
        "collect_minutes": exported.collect_minutes,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _curation(exported: "Exported") -> dict[str, Any] | None:
    found = exported.curation
    if found is None:
        return None
    return {
        "made_at": found.made_at,
        "settings": dict(found.settings),
        "newer_rows": exported.newer,
        "stale": list(exported.stale),
    }


def _teacher(recipe: Recipe, name: str) -> dict[str, Any]:
    teacher, declared = recipe.every_teacher[name], recipe.terms.get(name)
    return {
        "name": name,
        "model": teacher.model,
        "base_url": teacher.base_url,
        "license": declared.license if declared else None,
    }


def _binding(terms: dict[str, Any]) -> dict[str, Any]:
    texts = {name: terms.get(name) for name in ("teacher", "id", "verdict", "as_of", "source")}
    lists = {name: list(terms.get(name) or ()) for name in ("obligations", "show", "pass_on")}
    stated = {name: terms.get(name) for name in ("name_prefix", "basis", "accepted_by")}
    return {**texts, **lists, **stated}
