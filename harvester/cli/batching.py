"""batch: what was sent to providers in files, and what became of it."""

from pathlib import Path
from typing import Any

import click

from harvester.cli.base import (
    as_json,
    load,
    only_recipe,
    recipe_if_several,
    say,
    show,
    store_option,
    trust_option,
    whose_store,
)
from harvester.records import count_of, printable

MOST_SHOWN = 200


@click.group(epilog="Example: harvester batch list runs/orders")
def batch() -> None:
    """Batches that `collect` made: list them, look at one, cancel one."""


@batch.command("list", epilog="Example: harvester batch list runs/orders --json")
@recipe_if_several
@store_option
@trust_option
@as_json
def list_(recipe: Path | None, store: Path | None, as_json: bool) -> None:
    """Every batch of the store, oldest first, as its provider last said."""
    from harvester.batching.looking import every
    from harvester.collecting import default_store

    found = every(store or default_store(load(recipe or only_recipe())))
    show({"batches": found}, as_json=as_json, text=lambda r: "\n".join(map(_line, r["batches"])) or "no batches")


@batch.command("show", epilog="Example: harvester batch show batch_68a1 --recipe runs/orders")
@click.argument("batch_id", metavar="ID", help="As `list` shows it.")
@whose_store
@store_option
@trust_option
@as_json
def show_(batch_id: str, recipe: Path | None, store: Path | None, as_json: bool) -> None:
    """What became of batch ID, and the lines of its output that belong to none of its requests."""
    from harvester.batching.looking import one
    from harvester.collecting import default_store

    found = one(store or default_store(load(recipe or only_recipe())), batch_id)
    show(found, as_json=as_json, text=_text)


@batch.command(epilog="Example: harvester batch cancel batch_68a1 --recipe runs/orders")
@click.argument("batch_id", metavar="ID", help="As `list` shows it.")
@click.option("--forget", is_flag=True, help="Ask nobody: open its requests again, and count them as paid for.")
@whose_store
@store_option
@trust_option
@as_json
def cancel(batch_id: str, forget: bool, recipe: Path | None, store: Path | None, as_json: bool) -> None:
    """Have the provider cancel batch ID; the next `collect` takes in what was done by then."""
    import asyncio

    from harvester.batching.cancelling import cancel as ask
    from harvester.batching.cancelling import forget as give_up
    from harvester.modes import how_to_take_in

    loaded = load(recipe or only_recipe())
    found = give_up(loaded, store, batch_id) if forget else asyncio.run(ask(loaded, store, batch_id))
    if not forget:
        say(f"take in what was done with: {how_to_take_in(loaded)}")
    show(found, as_json=as_json, text=_line)


def _line(found: dict[str, Any]) -> str:
    from harvester.store.batches import GIVEN_UP

    state = "ended" if found["ended_at"] else "waiting"
    became = (found["result"] or {}).items()
    parts = ["given up" if name == GIVEN_UP else f"{value} {name}" for name, value in became if value]
    said = f"{state} ({found['status'] or 'not sent yet'})"
    return (
        f"{found['batch']}  {found['teacher']}  {said}  {', '.join([count_of(found['requests'], 'request'), *parts])}"
    )


def _text(found: dict[str, Any]) -> str:
    lines = [f"{name}: {value}" for name, value in found.items() if name not in ("result", "set_aside")]
    lines += [f"{name}: {value}" for name, value in (found["result"] or {}).items()]
    lines += [f"set aside: {one['why']}: {printable(one['raw'])[:MOST_SHOWN]}" for one in found["set_aside"]]
    return "\n".join(lines)
