"""`collect --log-json`: what happens, an object a line on stderr; docs/how-to/watch.md has the table of events."""

import contextlib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from harvester.cli.base import INTERRUPTED
from harvester.errors import HarvesterError, StoppedEarly

if TYPE_CHECKING:
    from harvester.progress import Progress

EVERY_S = 5.0
ENDED = {2: "bad_input", 3: "stopped", 4: "refused_by_terms", 5: "teacher_unusable", 6: "store_unusable"}
"""Exit code → what a run that did not come to its end is called."""
QUOTING = ("message", "why")
"""Fields with words of others in them."""


class EventLog:
    """Writes events; one at a time, from the thread that collects."""

    every_s = EVERY_S

    def report(self, progress: "Progress") -> None:
        """How far the run is."""
        self.write("progress", _totals(progress))

    def say(self, line: str) -> None:
        """What has no event of its own."""
        self.write("note", {"message": line})

    def write(self, event: str, fields: Mapping[str, Any]) -> None:
        """One line; that nobody listens any more stops no work."""
        from harvester.secret_forms import without_secrets

        kept = {
            name: without_secrets(value) if name in QUOTING and isinstance(value, str) else value
            for name, value in fields.items()
        }
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        with contextlib.suppress(OSError):
            click.echo(json.dumps({"at": at, "event": event, **kept}), err=True)

    def ended(self, how: str, exit_code: int, progress: "Progress | None", **more: Any) -> None:
        """The last line."""
        totals = _totals(progress) if progress else {}
        self.write("run_ended", {"ended": how, "exit_code": exit_code, **more, **totals})


@contextmanager
def logging_to_the_end(log: EventLog | None) -> Iterator[None]:
    """Write an error that ends the command as the log's last line, in the place of the line for people."""
    try:
        yield
    except KeyboardInterrupt:
        if log is None:
            raise
        _end(log, StoppedEarly(INTERRUPTED))
    except HarvesterError as error:
        if log is None:
            raise
        _end(log, error)


def _end(log: EventLog, error: HarvesterError) -> None:
    message = " ".join(str(error).split())
    log.ended(ENDED.get(error.exit_code, "failed"), error.exit_code, error.progress, message=message)
    sys.exit(error.exit_code)


def _totals(progress: "Progress") -> dict[str, Any]:
    """What a log has of a progress: numbers, and reasons without what the teacher said of them."""
    from harvester.noticing import kind_of

    reasons: Counter[str] = Counter()
    for reason, count in progress.reasons.items():
        reasons[kind_of(reason)] += count
    plain = (
        "recipe", "to_ask", "sent", "answered", "failed", "accepted", "in_flight", "waiting", "spent_usd",
        "reserved_usd", "finish_reasons",
    )  # fmt: skip
    return {
        **{name: getattr(progress, name) for name in plain},
        "reasons": dict(reasons),
        "input_tokens": sum(one.input_tokens for one in progress.teachers.values()),
        "output_tokens": sum(one.output_tokens for one in progress.teachers.values()),
        "seconds": round(progress.seconds, 1),
    }
