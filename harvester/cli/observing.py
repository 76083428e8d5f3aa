"""Who hears how a collecting run goes: a person, a log, a server of metrics."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from harvester.cli.event_log import EventLog
from harvester.cli.progress import Talk, showing_progress
from harvester.errors import BadInput, how_to_install

if TYPE_CHECKING:
    from harvester.metrics import Metrics
    from harvester.progress import Progress


class Reporting(Protocol):
    """Wants to know how far the run is, every so often."""

    every_s: float

    def report(self, progress: "Progress") -> None:
        """How far it is."""


class Several:
    """Reports to each as often as it wants."""

    def __init__(self, *whom: Reporting) -> None:
        """Nobody has heard anything yet."""
        self._whom = whom
        self._due = [time.monotonic() + one.every_s for one in whom]
        self.every_s = min(one.every_s for one in whom)

    def report(self, progress: "Progress") -> None:
        """Pass it on to those whose time it is."""
        now = time.monotonic()
        for place, one in enumerate(self._whom):
            if now >= self._due[place] - self.every_s / 2:
                self._due[place] = now + one.every_s
                one.report(progress)


@dataclass(frozen=True, slots=True)
class Observers:
    """As `Options` takes them."""

    report: "Callable[[Progress], None]"
    report_every_s: float
    say: Callable[[str], None] | None
    log: Callable[[str, Mapping[str, Any]], None] | None


@contextmanager
def observing(recipe: str, log: EventLog | None, port: int | None) -> Iterator[Observers]:
    """Everybody who wants to hear of a run.

    Args:
        recipe: its name.
        log: in the place of the lines for a person.
        port: where metrics are served; None: nowhere.

    Raises:
        BadInput: the port cannot be had, or the library is missing.
    """
    with _serving(recipe, port) as (metrics, url), _talking(log) as talk:
        if url is not None:
            _tell_where(url, log, talk)
        whom: tuple[Reporting, ...] = (talk, metrics) if metrics else (talk,)
        several = Several(*whom)
        yield Observers(several.report, several.every_s, None if log else talk.say, log.write if log else None)


@contextmanager
def _talking(log: EventLog | None) -> Iterator[Talk]:
    if log is not None:
        yield log
        return
    with showing_progress() as talk:
        yield talk


@contextmanager
def _serving(recipe: str, port: int | None) -> "Iterator[tuple[Metrics | None, str | None]]":
    if port is None:
        yield None, None
        return
    try:
        from harvester.metrics import Metrics
        from harvester.metrics_server import serving
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("prometheus_client"):
            raise
        raise BadInput(f"--metrics: needs the library `prometheus-client`; {how_to_install('metrics')}") from None
    metrics = Metrics(recipe)
    with serving(metrics, port) as url:
        yield metrics, url


def _tell_where(url: str, log: EventLog | None, talk: Talk) -> None:
    if log is not None:
        log.write("metrics_served", {"url": url})
    else:
        talk.say(f"metrics: {url}")
