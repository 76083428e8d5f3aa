"""The dataset's card: what the hub shows, and what a reader must know before training on it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from harvester.pricing import usd
from harvester.recipe import Recipe
from harvester.terms import CLAIMED

if TYPE_CHECKING:
    from harvester.exporting.dataset import Exported

SPLITS = ("train", "dev", "test")


def write_card(recipe: Recipe, folder: Path, exported: "Exported") -> None:
    """Write `README.md` into the dataset's folder."""
    metadata = yaml.safe_dump(_metadata(recipe, exported), sort_keys=False, allow_unicode=True)
    (folder / "README.md").write_text(f"---\n{metadata}---\n\n{_body(recipe, exported)}", encoding="utf-8")


def _metadata(recipe: Recipe, exported: "Exported") -> dict[str, Any]:
    files = [{"split": split, "path": f"data/{split}-*"} for split in SPLITS if exported.rows[split]]
    return {
        "pretty_name": recipe.name,
        "tags": ["harvester", "distillation", "synthetic"],
        "task_categories": ["text-generation"],
        # `datasets` caches a local folder under its name and this block, whatever its files hold: without a digest of
        # the rows, a second export would give the rows of the first.
        "configs": [{"config_name": "default", "description": f"rows sha256:{exported.sha256}", "data_files": files}],
    }


def _body(recipe: Recipe, exported: "Exported") -> str:
    kept = sum(exported.rows[split] for split in ("train", "dev"))
    per_row = usd(exported.cost_nusd) / kept if kept else 0.0
    return f"""# {recipe.name}

Answers of a teacher model, collected by Harvester for training a student.

## What is in it

{_table(("split", "rows"), [(split, str(exported.rows[split])) for split in SPLITS if exported.rows[split]])}

`train` and `dev` hold accepted answers. `test` holds every answer to the held-out seeds, accepted or not; it is for
measuring, never for training.

## How it was made

- Teacher: `{recipe.teacher.model}` at `{recipe.teacher.base_url}`
- Seeds: {_seeds(recipe)}
- Verified by: {", ".join(recipe.step.verify) or "nothing"}; selected: {recipe.step.select}
- Cost: ${usd(exported.cost_nusd):.4f} in all, ${per_row:.6f} per kept row

## What was left out of train and dev

{_table(("reason", "rows"), [(reason, str(n)) for reason, n in sorted(exported.dropped.items())]) or "Nothing."}

## Terms

{_terms(exported)}

These are facts with dates from a registry, not legal advice.
"""


def _seeds(recipe: Recipe) -> str:
    return "; ".join(
        f"`{seeds.path}` ({split}, licence: {seeds.license or 'unstated'})" for split, seeds in recipe.seed_files
    )


def _terms(exported: "Exported") -> str:
    lines = []
    for binding in exported.terms.values():
        where = f"source: {binding['source']}; as of: {binding['as_of'] or '-'}"
        lines.append(f"- **{binding['verdict']}**: {binding['id']} ({where})")
        lines += [f"  - obligation: {text}" for text in binding["obligations"]]
        if binding["basis"]:
            lines.append(f"  - basis: {binding['basis']} (accepted by {binding.get('accepted_by')}; {CLAIMED})")
    return "\n".join(lines) or "No answers, no terms."


def _table(header: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    if not rows:
        return ""
    lines = [header, ("---", "---"), *rows]
    return "\n".join(f"| {left} | {right} |" for left, right in lines)
