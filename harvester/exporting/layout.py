"""Which files a finished dataset has, in its own layout or in another one."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harvester.errors import BadInput
from harvester.exporting.formats import FORMATS, OWN, SIDECARS, Format, convert
from harvester.recipe import Recipe

if TYPE_CHECKING:
    from harvester.exporting.dataset import Exported

SPLITS = ("train", "dev", "test")
FILES = {
    *SIDECARS,
    *SPLITS,  # folders of distillkit's
    *(
        f"{config.prefix}{split}{form.ending}"
        for form in FORMATS.values()
        for config in form.configs.values()
        for split in SPLITS
    ),
}
"""Names of the files and folders that a format may put into a dataset's folder."""


def lay_out(recipe: Recipe, folder: Path, exported: "Exported", form: Format | None) -> None:
    """Put the parquet files into a format, and count what is in it; None leaves them as they are.

    Raises:
        BadInput: the format is one of pairs, and there are none.
    """
    if form is None:
        own = (("default", "data", exported.rows), ("preference", "preference", exported.pairs))
        for config, name, rows in own:
            exported.files[config] = {split: f"{name}/{split}-*" for split in SPLITS if rows[split]}
        return
    if exported.wanted.format == "preference" and not exported.pairs:
        raise BadInput(_no_pairs(recipe))
    done = convert(folder, form, recipe.name)
    exported.files = done.files
    exported.rows = done.rows["default"]
    exported.pairs = done.rows.get("preference", Counter())
    for (split, reason), count in done.left_out.items():
        if split != "test":
            exported.dropped[f"{exported.wanted.format}:{reason}"] += count


def features(exported: "Exported") -> dict[str, Any]:
    """For the card's metadata: the columns' types, where `datasets` would guess them from a file's values."""
    form = FORMATS.get(exported.wanted.format)
    return {"dataset_info": {"features": [dict(one) for one in form.features]}} if form and form.features else {}


def in_words(exported: "Exported") -> str:
    """For the card: which layout it is; nothing of the dataset's own."""
    if exported.wanted.format == OWN:
        return ""
    return (
        f"The layout is `{exported.wanted.format}`, for another trainer. The layout `messages` of the same store also"
        " holds where each row comes from, what binds it and what was checked."
    )


def _no_pairs(recipe: Recipe) -> str:
    """Why there are no pairs, with the mend."""
    step = recipe.answer_step
    if step.samples == 1 and not recipe.competes(step):
        return (
            f"{recipe.where(step)}.samples: one answer to each question makes no pairs; ask for 2 or more (samples: 4)"
        )
    return (
        f"{recipe.path}: no two answers to one question differ in worth, so there are no pairs; verify more, add a"
        " judge, or collect more answers"
    )
