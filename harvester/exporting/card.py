"""The dataset's card: what a reader must know before training on it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from harvester import __version__
from harvester.exporting.binding import meaning_of, terms_text
from harvester.exporting.formats import OWN
from harvester.exporting.layout import in_words
from harvester.exporting.making import left_out, limitations, making
from harvester.exporting.markdown import bullets, code, plain, table
from harvester.exporting.metadata import SPLITS, metadata
from harvester.exporting.origins import SeedFiles, recipe_digest
from harvester.recipe import Recipe
from harvester.terms import CLAIMED, PASSING, together

if TYPE_CHECKING:
    from harvester.exporting.dataset import Exported

FOR = {
    "train": "what a student learns from",
    "dev": "choosing settings while training",
    "test": "measuring only: every answer to the held-out seeds, accepted or not",
}
LOADING = """```python
from datasets import load_dataset

rows = load_dataset("DATASET", split="SPLIT")  # this folder, or its id on the hub
print(rows[0])
```"""
MESSAGES = (
    "`messages` is what the student sees, the answer last. Every other column says where the row comes from, or what"
    " was thought of it."
)
IN_PYTHON = (
    "The recipe was made in Python, with functions of its own. `harvester trace` shows what can be written of it."
)
COLUMNS = {
    "`row_id`": "with the store at hand, `harvester trace ROW_ID --recipe RECIPE` prints the seed, the prompt as it was"
    " sent, the raw reply, the teacher with its terms and price of that day, and the recipe's text",
    "`recipe`, `step`, `teacher`, `model`, `provider`": "who was asked, and by what",
    "`seed_id`, `seed`, `sample`": "about what, and which of several answers it is",
    "`request_key`, `sampling`": "SHA-256 of all that can change the answer; the parameters as sent",
    "`terms`": "every teacher that wrote or judged it, with the verdict of that day",
    "`checks`, `score`, `accepted`, `drop_reason`": "what was thought of it",
    "`collected_at`, `cost_usd`": "when, and for how much",
}


def write_card(recipe: Recipe, folder: Path, exported: "Exported", seeds: Sequence[SeedFiles]) -> None:
    """Write `README.md` into the dataset's folder."""
    overall, own = together(exported.terms.values()), exported.wanted.format == OWN
    block = yaml.safe_dump(metadata(recipe, exported, seeds, overall), sort_keys=False, allow_unicode=True)
    sections = {
        "What is in it": _contents(exported),
        "How it was made": making(recipe, exported, seeds),
        "What was left out": left_out(recipe, exported),
        "Terms": terms_text(exported, overall),
        "Limitations": limitations(recipe, exported),
        **({"Where a row comes from": table(("column", "says"), list(COLUMNS.items()))} if own else {}),
        "How to reproduce it": _reproducing(recipe, exported),
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    text = f"---\n{block}---\n\n{_head(recipe, exported, overall)}\n\n{body}\n"
    (folder / "README.md").write_text(text, encoding="utf-8")


def _head(recipe: Recipe, exported: "Exported", overall: dict[str, Any]) -> str:
    models = ", ".join(dict.fromkeys(code(teacher.model) for teacher in recipe.asked_teachers.values()))
    lines = [
        f"# {recipe.name}",
        f"Answers of {models} for training a student, collected with Harvester {__version__}.",
        *(f"> **Mind:** {text}" for text in _warnings(exported, overall)),
    ]
    return "\n\n".join(lines)


def _warnings(exported: "Exported", overall: dict[str, Any]) -> Iterator[str]:
    if exported.wanted.unfiltered:
        yield (
            "this is an unfiltered export. `train` holds rejected answers too (column `accepted`), as a control for"
            " what filtering is worth."
        )
    if overall["verdict"] not in (*PASSING, None):
        yield (
            f"a teacher's terms are **{plain(overall['verdict'])}**: {meaning_of(overall['verdict'])}. Whoever"
            f" collected its answers states a right to train on them, which is {CLAIMED}: see [Terms](#terms)."
        )
    if not exported.rows["train"]:
        yield "there is nothing in `train`."


def _contents(exported: "Exported") -> str:
    splits = [split for split in SPLITS if exported.rows[split]]
    rows = [(f"`{split}`", str(exported.rows[split]), FOR[split]) for split in splits]
    parts = [
        table(("split", "rows", "for"), rows),
        LOADING.replace("SPLIT", splits[0]) if splits else "",
        in_words(exported) or MESSAGES,
        _pairs(exported),
        _classes(exported),
    ]
    return "\n\n".join(part for part in parts if part)


def _pairs(exported: "Exported") -> str:
    if not exported.pairs.total():
        return ""
    counts = ", ".join(f"{exported.pairs[split]} {split}" for split in SPLITS if exported.pairs[split])
    return (
        f"The config `preference` has pairs of the best and the worst answer to one question ({counts}):"
        ' `load_dataset("DATASET", "preference")`.'
    )


def _classes(exported: "Exported") -> str:
    rows = [
        (plain(name), ", ".join(f"{plain(value)}: {count}" for value, count in sorted(classes.items())))
        for name, classes in exported.classes.found().items()
    ]
    return f"Rows of `train` by what has classes:\n\n{table(('field', 'rows'), rows)}" if rows else ""


def _reproducing(recipe: Recipe, exported: "Exported") -> str:
    facts = [
        f"Harvester {__version__}",
        f"recipe sha256 {code(recipe_digest(recipe))}",
        "seeds: the digests above",
        f"rows sha256 {code(exported.sha256)}",
    ]
    commands = f"""```bash
harvester collect RECIPE
harvester export RECIPE DATASET{exported.wanted.options()}
```"""
    return f"""{IN_PYTHON if any(step.functions for step in recipe.steps) else commands}

{bullets(facts)}

The same store gives the same bytes. Asked again, a teacher may answer otherwise."""
