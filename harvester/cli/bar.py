"""A collecting run on a terminal: a bar with rate and time left, and under it what happened and what is waited for."""

import contextlib
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from harvester.cli import texts

if TYPE_CHECKING:
    from harvester.collecting import Progress as Run

EVERY_S = 0.3


class Bar:
    """Drawn anew at every report; lines that are said meanwhile go above it."""

    every_s = EVERY_S

    def __init__(self, console: Console) -> None:
        """A bar on a console; nothing is drawn before the first report."""
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:.1f}/s"),
            TimeRemainingColumn(compact=True),
            console=console,
            auto_refresh=False,
            expand=True,
        )
        self._task = self._bar.add_task("", total=None, rate=0.0)
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def report(self, progress: "Run") -> None:
        """Draw how far the run is."""
        rate = progress.answered / progress.seconds if progress.seconds else 0.0
        done = progress.answered + progress.failed
        self._bar.update(self._task, description=progress.recipe, total=progress.to_ask, completed=done, rate=rate)
        with contextlib.suppress(OSError):  # a terminal that went away stops no work
            self._live.start()
            self._live.update(Group(self._bar.get_renderable(), Text(_details(progress))), refresh=True)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        with contextlib.suppress(OSError):
            self._console.print(Text(line))

    def close(self) -> None:
        """Take the bar away; what comes next has the terminal as it was."""
        with contextlib.suppress(OSError):
            self._live.stop()


def _details(progress: "Run") -> str:
    parts = [
        f"{progress.answered} answered",
        f"{progress.accepted} accepted",
        f"{progress.failed} failed",
        f"{progress.in_flight} in flight",
        f"${progress.spent_usd:.4f}",
    ]
    if progress.waiting:
        parts.append(f"waiting: {texts.waiting_for(progress.waiting)}")
    return ", ".join(parts)
