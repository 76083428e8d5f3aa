"""What says of stored answers that they are not, or are, for training: curate, verdict."""

from pathlib import Path
from typing import Any, Literal

import click

from harvester.cli import texts
from harvester.cli.base import (
    PATH,
    as_json,
    load,
    only_recipe,
    recipe_argument,
    row_argument,
    show,
    store_option,
    trust_option,
    usable,
    whose_store,
)


@click.command(epilog="Example: harvester curate runs/orders")
@recipe_argument
@store_option
@click.option("--undo", is_flag=True, help="Take back everything that the last curation of RECIPE dropped.")
@click.option("--report", type=PATH, callback=usable, help="Folder of curation.html and .json; default: the recipe's.")
@click.option(
    "--executor",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where row filters run; ray: on the cluster of RAY_ADDRESS, with Harvester on each machine.",
)
@trust_option
@as_json
def curate(
    recipe: Path, store: Path | None, undo: bool, report: Path | None, executor: Literal["local", "ray"], as_json: bool
) -> None:
    """Look for what of RECIPE's answers should not be trained on; `export` leaves it out."""
    from harvester import curating

    loaded = load(recipe)
    if undo:
        taken_back = {"recipe": loaded.name, "taken_back": curating.undo(loaded, store)}
        show(taken_back, as_json=as_json, text=texts.taken_back)
        return
    folder = report or loaded.folder
    found = curating.curate(loaded, store, executor=curating.executor(executor), report=folder)
    result = {"recipe": loaded.name, **found.summary(), "report": str(folder / curating.PAGE)}
    show(result, as_json=as_json, text=texts.curate)


@click.command(epilog="Example: harvester verdict 1f3a reject --note 'wrong total' --recipe runs/orders")
@row_argument
@click.argument(
    "word",
    type=click.Choice(["accept", "reject", "edit", "withdraw"]),
    help="withdraw: what was said before counts no more.",
)
@click.option("--answer", help="With edit: what stands in the place of the teacher's answer.")
@click.option("--note", help="Why.")
@click.option("--by", "said_by", help="Who says so; default: the name of your account.")
@whose_store
@store_option
@trust_option
@as_json
def verdict(row: str, word: Any, recipe: Path | None, store: Path | None, as_json: bool, **said: str | None) -> None:
    """Say of ROW what no rule can: it wins over verifiers, judges and curation in the next export."""
    from dataclasses import asdict

    from harvester.curating import speak

    spoken = speak(load(recipe or only_recipe()), row, word, store=store, **said)
    show(asdict(spoken), as_json=as_json, text=lambda r: f"{r['row_id']}: {r['kind']}, by {r['said_by']}")
