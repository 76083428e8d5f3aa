"""How a collecting run is shown on stderr: a bar on a terminal, a line every few seconds elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from harvester.cli import texts
from harvester.cli.base import say

if TYPE_CHECKING:
    from harvester.collecting import Progress

LINE_EVERY_S = 5.0


class Talk(Protocol):
    """Shows how a run goes."""

    every_s: float

    def report(self, progress: "Progress") -> None:
        """Show how far the run is; called every `every_s` seconds."""

    def say(self, line: str) -> None:
        """Show what a person should know at once."""


@contextmanager
def showing_progress() -> Iterator[Talk]:
    """The fitting kind for where stderr goes."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console

    from harvester.cli.bar import Bar

    console = Console(stderr=True, highlight=False)
    if console.is_dumb_terminal:  # it cannot redraw a line
        yield Lines()
        return
    bar = Bar(console)
    try:
        yield bar
    finally:
        bar.close()


class Lines:
    """A line now and then, for logs."""

    every_s = LINE_EVERY_S

    def report(self, progress: "Progress") -> None:
        """One line."""
        say(texts.progress(progress))

    def say(self, line: str) -> None:
        """One line."""
        say(line)
