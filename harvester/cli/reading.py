"""What reads a store, and asks nobody: status, parse, export, verify, trace."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harvester.cli import texts
from harvester.cli.base import (
    PATH,
    as_json,
    complete_recipe,
    load,
    only_recipe,
    recipe_argument,
    recipe_if_several,
    row_argument,
    say,
    show,
    store_option,
    trust_option,
    usable,
    usable_store,
    whose_store,
)

if TYPE_CHECKING:
    from harvester.exporting import Exported


@click.command(epilog="Example: harvester status runs/orders --json")
@recipe_if_several
@store_option
@trust_option
@as_json
def status(recipe: Path | None, store: Path | None, as_json: bool) -> None:
    """What is stored, spent and failed, and how far a collection is that runs now."""
    from harvester.status import status as look

    show(look(load(recipe or only_recipe()), store), as_json=as_json, text=texts.status)


@click.command(epilog="Example: harvester parse runs/orders")
@recipe_argument
@store_option
@trust_option
@as_json
def parse(recipe: Path, store: Path | None, as_json: bool) -> None:
    """Read and verify RECIPE's stored replies anew, with the rules it states now; asks nobody."""
    from harvester.collecting import parse as replay

    loaded = load(recipe)
    result = {"recipe": loaded.name, "judged": replay(loaded, store)}
    show(result, as_json=as_json, text=lambda r: f"{r['recipe']}: {r['judged']} rows judged")


@click.command(epilog="Example: harvester export runs/orders runs/orders/dataset")
@recipe_argument
@click.argument("out", type=PATH, callback=usable, help="A new folder, or the dataset of an earlier export to replace.")
@store_option
@click.option("--unfiltered", is_flag=True, help="Write rejected answers into train too.")
@click.option(
    "--only-terms",
    type=click.Choice(["allowed", "conditions", "unknown", "forbidden-competing", "forbidden"]),
    help="Leave out, of every split, rows of a teacher whose terms are stricter.",
)
@click.option("--since", metavar="DATE", help="Leave out what was answered before; ISO 8601, UTC without a zone.")
@click.option("--min-score", type=float, help="Leave out, of train and dev, what a judge scored lower.")
@click.option("--push", metavar="USER/NAME", help="Then upload it to this dataset repository of the hub.")
@click.option("--private", is_flag=True, help="With --push: make the repository a private one.")
@click.option(
    "--format",
    "form",
    metavar="NAME",
    help="For another trainer: prompt-completion, preference, alpaca, sharegpt, openai, axolotl, axolotl-kd, "
    "distillkit, llama-factory or csv; default: the recipe's, or messages.",
)
@click.option(
    "--tokenizer", type=PATH, callback=usable, help="The student's folder; for axolotl-kd and distillkit only."
)
@click.option(
    "--max-length",
    type=click.IntRange(min=2),
    help="Leave out rows of more tokens; for distillkit only, where it is 2048 by default.",
)
@trust_option
@as_json
def export(
    recipe: Path,
    out: Path,
    store: Path | None,
    unfiltered: bool,
    only_terms: str | None,
    since: str | None,
    min_score: float | None,
    push: str | None,
    private: bool,
    form: str | None,
    tokenizer: Path | None,
    max_length: int | None,
    as_json: bool,
) -> None:
    """Write what is collected so far as a Hugging Face dataset into the folder OUT."""
    from harvester.exporting import export as write

    upload = _uploader(push, private=private)
    exported = write(
        load(recipe),
        out,
        store=store,
        unfiltered=unfiltered,
        only_terms=only_terms,
        since=_day(since),
        min_score=min_score,
        format=form,
        tokenizer=tokenizer,
        max_length=max_length,
    )
    result = {
        "path": str(exported.path),
        "format": exported.wanted.format,
        "rows": dict(exported.rows),
        "dropped": dict(exported.dropped),
        "waiting": exported.waiting,
        "pairs": dict(exported.pairs),
        "curated_at": exported.curation and exported.curation.made_at,
        "stale_curation": list(exported.stale),
        "pushed": upload(exported) if upload else None,
    }
    show(result, as_json=as_json, text=texts.export)


def _day(text: str | None) -> "datetime | None":
    from harvester.errors import BadInput
    from harvester.exporting.wanted import day

    try:
        return None if text is None else day(text)
    except ValueError:
        raise BadInput(f"--since {text}: is no date; write it as 2026-11-27 or 2026-11-27T08:00+00:00") from None


def _uploader(repo: str | None, *, private: bool) -> "Callable[[Exported], dict[str, Any]] | None":
    """What is to be done with a finished dataset, once it is clear that it could be; None where nothing is.

    Raises:
        BadInput: it could not be.
    """
    from dataclasses import asdict

    from harvester.errors import BadInput

    if repo is None:
        if private:
            raise BadInput("--private: is about the repository of --push USER/NAME; add that, or leave this out")
        return None
    from harvester.exporting.pushing import push, require_pushable

    require_pushable(repo)
    return lambda exported: asdict(push(exported, repo, private=private, tell=say))


@click.command(epilog="Example: harvester diff runs/orders/dataset-1 runs/orders/dataset-2 --recipe runs/orders")
@click.argument("old", type=PATH, callback=usable, help="A dataset of an earlier export.")
@click.argument("new", type=PATH, callback=usable, help="A later one.")
@click.option(
    "--recipe",
    type=PATH,
    callback=usable,
    help="Say why rows were dropped, by the rules that this recipe states now.",
    shell_complete=complete_recipe,
)
@store_option
@trust_option
@as_json
def diff(old: Path, new: Path, recipe: Path | None, store: Path | None, as_json: bool) -> None:
    """What rows NEW has that OLD has not, which it lacks, and which changed, in what."""
    from dataclasses import asdict

    from harvester.diffing import diff as compare

    found = compare(old, new, recipe=load(recipe) if recipe else None, store=store)
    show({"same": found.same, **asdict(found)}, as_json=as_json, text=texts.diff)


@click.command(epilog="Example: harvester verify runs/orders/harvest.db")
@click.argument("store", type=PATH, callback=usable_store, help="The database file.")
@as_json
def verify(store: Path, as_json: bool) -> None:
    """Re-hash STORE: every reply against its SHA-256, every request against its key."""
    from dataclasses import asdict

    from harvester.auditing import audit
    from harvester.errors import StoreUnusable

    found = audit(store)
    show(asdict(found), as_json=as_json, text=lambda r: texts.verify(store, r))
    if found.problems:
        raise StoreUnusable(
            f"{store}: {len(found.problems)} problems; restore a copy, or collect what is damaged again"
        )


@click.command(epilog="Example: harvester trace 1f3a --recipe runs/orders")
@row_argument
@whose_store
@store_option
@trust_option
@as_json
def trace(row: str, recipe: Path | None, store: Path | None, as_json: bool) -> None:
    """Where ROW comes from, what became of it: seed, prompt, raw reply, teacher, terms, outcome, recipe of that day."""
    from harvester.cli import tracing
    from harvester.collecting import default_store
    from harvester.tracing import trace as follow

    path = store or default_store(load(recipe or only_recipe()))
    show(follow(path, row), as_json=as_json, text=tracing.text)
