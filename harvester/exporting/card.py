"""The dataset's card: what the hub shows, and what a reader must know before training on it."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from harvester.pricing import usd
from harvester.recipe import Recipe
from harvester.records import printable
from harvester.terms import CLAIMED, PASSING

if TYPE_CHECKING:
    from harvester.exporting.dataset import Exported

SPLITS = ("train", "dev", "test")


def write_card(recipe: Recipe, folder: Path, exported: "Exported") -> None:
    """Write `README.md` into the dataset's folder."""
    metadata = yaml.safe_dump(_metadata(recipe, exported), sort_keys=False, allow_unicode=True)
    (folder / "README.md").write_text(f"---\n{metadata}---\n\n{_body(recipe, exported)}", encoding="utf-8")


def _metadata(recipe: Recipe, exported: "Exported") -> dict[str, Any]:
    files = [{"split": split, "path": f"data/{split}-*"} for split in SPLITS if exported.rows[split]]
    pairs = [{"split": split, "path": f"preference/{split}-*"} for split in SPLITS if exported.pairs[split]]
    default = {"config_name": "default", "description": f"rows sha256:{exported.sha256}", "data_files": files}
    return {
        "pretty_name": recipe.name,
        "tags": ["harvester", "distillation", "synthetic"],
        "task_categories": ["text-generation"],
        # `datasets` caches a local folder under its name and this block, whatever its files hold: without a digest of
        # the rows, a second export would give the rows of the first.
        "configs": [default, *([{"config_name": "preference", "data_files": pairs}] if pairs else [])],
    }


def _body(recipe: Recipe, exported: "Exported") -> str:
    kept = sum(exported.rows[split] for split in ("train", "dev"))
    per_row = usd(exported.cost_nusd) / kept if kept else 0.0
    return f"""# {recipe.name}

Answers of a teacher model, collected by Harvester for training a student.

## What is in it

{_table(("split", "rows"), [(split, str(exported.rows[split])) for split in SPLITS if exported.rows[split]])}

{_train(exported)} `test` holds every answer to the held-out seeds, accepted or not; it is for
measuring, never for training.{_pairs(exported)}

## How it was made

{_teachers(recipe)}
- Seeds: {_seeds(recipe)}
{_steps(recipe)}
- Accepted: {exported.accepted} of {exported.asked} answers asked for `train` and `dev`
- Cost: ${usd(exported.cost_nusd):.4f} in all, ${per_row:.6f} per kept row

## What was left out of train and dev

{_table(("reason", "rows"), [(reason, str(n)) for reason, n in sorted(exported.dropped.items())]) or "Nothing."}

## Terms

{_terms(exported)}

These are facts with dates from a registry, not legal advice.
"""


def _pairs(exported: "Exported") -> str:
    if not exported.pairs.total():
        return ""
    counts = ", ".join(f"{exported.pairs[split]} {split}" for split in SPLITS if exported.pairs[split])
    return (
        f"\n\nThe config `preference` has pairs of the best and the worst answer to one question ({counts}):"
        ' `load_dataset(path, "preference")`.'
    )


def _train(exported: "Exported") -> str:
    if exported.unfiltered:
        return (
            "**This is an unfiltered export**: `train` holds rejected answers too (column `accepted`), as a control for"
            " what filtering is worth. `dev` holds accepted answers."
        )
    return "`train` and `dev` hold accepted answers."


def _teachers(recipe: Recipe) -> str:
    several = len(recipe.asked_teachers) > 1
    return "\n".join(
        f"- Teacher{f' {name}' if several else ''}: {code(teacher.model)} at {code(teacher.base_url)}"
        for name, teacher in recipe.asked_teachers.items()
    )


def _steps(recipe: Recipe) -> str:
    several = len(recipe.steps) > 1
    lines = []
    for step in recipe.steps:
        of = f"Step {step.name} ({step.kind} of {recipe.read_by(step)}); v" if several else "V"
        verified = ", ".join(recipe.demands(step).of_answers) or "nothing"
        lines.append(f"- {of}erified by: {verified}; selected: {recipe.selects(step)}")
    return "\n".join(lines)


def _seeds(recipe: Recipe) -> str:
    return "; ".join(
        f"{code(seeds.label)} ({split}, licence: {plain(seeds.license or 'unstated')})"
        for split, seeds in recipe.seed_files
    )


def _terms(exported: "Exported") -> str:
    lines = []
    for terms in exported.terms.values():
        where = f"source: {plain(terms['source'])}; as of: {plain(terms['as_of'] or '-')}"
        lines.append(f"- **{terms['verdict']}**: {plain(terms['id'])} ({where})")
        lines += [f"  - obligation: {plain(text)}" for text in terms["obligations"]]
        if terms["name_prefix"]:
            lines.append(f"  - a student's name begins with: {plain(terms['name_prefix'])}")
        lines += [f"  - a student's card shows: {plain(text)}" for text in terms["show"]]
        lines += [f"  - to hand along with a student: {plain(text)}" for text in terms["pass_on"]]
        if terms["basis"]:
            who = f"accepted by {plain(terms.get('accepted_by') or 'nobody named')}; {CLAIMED}"
            against = "" if terms["verdict"] in PASSING else "**, against the verdict above**"
            lines.append(f"  - basis{against}: {plain(terms['basis'])} ({who})")
    return "\n".join(lines) or "No answers, no terms."


def plain(text: str) -> str:
    """A text of somebody else's as one line of Markdown that means nothing but its characters."""
    # Inside a word an underscore is only itself, and addresses stay whole.
    return re.sub(r"([\\`*{}\[\]<>#|~&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", printable(text))


def code(text: str) -> str:
    """A text of somebody else's as a span of code; no backtick in it can close the span."""
    return f"`{printable(text).replace('`', chr(39))}`"


def _table(header: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    if not rows:
        return ""
    lines = [header, ("---", "---"), *rows]
    return "\n".join(f"| {left} | {right} |" for left, right in lines)
