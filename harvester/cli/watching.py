"""watch: how a collection that runs elsewhere goes, as a page on a terminal and as lines elsewhere."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harvester.cli import texts
from harvester.cli.base import as_json, load, only_recipe, recipe_if_several, show, store_option, trust_option

if TYPE_CHECKING:
    from rich.console import Console

    from harvester.recipe import Recipe

PLAIN_WIDTH = 120
"""Of a page that goes to a file."""


@click.command(epilog="Example: harvester watch runs/orders")
@recipe_if_several
@store_option
@click.option("--once", is_flag=True, help="Look once, and end.")
@trust_option
@as_json
def watch(recipe: Path | None, store: Path | None, once: bool, as_json: bool) -> None:
    """Follow a collection that runs elsewhere to its end: its pace against the limits, its costs, what it waits for.

    Elsewhere than on a terminal: a line whenever something changed, and the status when it ends.
    """
    loaded = load(recipe or only_recipe())
    if once:
        _show_once(loaded, store, as_json=as_json)
        return
    console = None if as_json else _terminal()
    if console is None:
        _follow_in_lines(loaded, store, as_json=as_json)
    else:
        _follow(loaded, store, console)


def _terminal() -> "Console | None":
    """stdout, where that is a terminal that can be drawn on anew."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    from rich.console import Console

    console = Console(highlight=False)
    return None if console.is_dumb_terminal else console


def _show_once(recipe: "Recipe", store: Path | None, *, as_json: bool) -> None:
    from harvester.watching import look

    show(look(recipe, store), as_json=as_json, text=_page)


def _page(look: dict[str, Any]) -> str:
    """The page as text, without colours where stdout is no terminal."""
    from rich.console import Console

    from harvester.cli.watch_view import view

    console = Console(highlight=False, force_terminal=False, no_color=True, width=None if _terminal() else PLAIN_WIDTH)
    with console.capture() as captured:
        console.print(view(look))
    return "\n".join(line.rstrip() for line in captured.get().rstrip().split("\n"))


def _follow(recipe: "Recipe", store: Path | None, console: "Console") -> None:
    """Draw the page anew at every look; the last one stays, and under it the status."""
    from rich.live import Live

    from harvester.cli.watch_view import view
    from harvester.status import status
    from harvester.watching import watch as looks

    with Live(console=console, auto_refresh=False) as live:
        for look in looks(recipe, store):
            live.update(view(look), refresh=True)
    show(status(recipe, store), as_json=False, text=texts.status)


def _follow_in_lines(recipe: "Recipe", store: Path | None, *, as_json: bool) -> None:
    from harvester.status import status
    from harvester.watching import watch as looks

    shown = ""
    for look in looks(recipe, store):
        now = look if look["running"] else look | status(recipe, store)
        text = texts.watch(now) if look["running"] else texts.status(now)
        if as_json or text != shown:
            show(now, as_json=as_json, text=lambda _, text=text: text)  # type: ignore[misc]
        shown = text
