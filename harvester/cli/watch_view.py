"""A collection as a page on a terminal: how far, how fast against which limit, what for, what went wrong."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harvester.cli.base import tame
from harvester.records import count_of

SHOWN_REASONS, SHOWN_BATCHES = 5, 5
BAR_WIDTH = 30
WAITS = {
    "concurrency": "a free place: no more may be on their way at once",
    "tokens": "the limit of tokens per minute",
    "requests": "the limit of requests per minute",
    "teacher": "the pause that the teacher asks for",
    "budget": "what requests in flight hold of the budget",
    "retry": "their next try",
    "batch": "batches at their provider",
}
OUTCOMES = {"done": "came to its end", "stopped": "stopped early", "killed": "was killed"}


def view(look: Mapping[str, Any]) -> Group:
    """The page for one look (`watching.look`)."""
    return Group(*_parts(look))


def _parts(look: Mapping[str, Any]) -> Iterator[RenderableType]:
    progress = (look["last_run"] or {}).get("progress") or {}
    yield Text(f"{look['recipe']}: {_state(look)}", style="bold")
    if {"to_ask", "answered", "accepted", "failed"} <= set(progress):
        yield _bar(look, progress)
    if teachers := progress.get("teachers"):
        yield _teachers(teachers, None if look["running"] else progress["seconds"])
    yield _money(look, progress)
    lines = [
        *_steps(progress), *_batches(look["batches"]), *_finish_reasons(progress), *_failures(progress),
        *_waits(look),
    ]  # fmt: skip
    yield from (Text(tame(line)) for line in lines)


def _state(look: Mapping[str, Any]) -> str:
    running, last = look["running"], look["last_run"]
    if running is None:
        how = last and f"; the last run (begun {last['started_at'][:19]}) {OUTCOMES.get(last['outcome'], 'ended')}"
        return f"nothing collects now{how or ''}"
    who = f"pid {running['pid']}"
    if last and last["ended_at"] is None:
        return f"collecting for {_span(_age_s(last['started_at']))} ({who})"
    if look["batches"]:
        return f"collecting in batches ({who})"
    return f"{who} writes to the store, since {running['since']}: it plans, ends a run, or is another command"


def _bar(look: Mapping[str, Any], progress: Mapping[str, Any]) -> Table:
    ended = progress["answered"] + progress["failed"]
    line = Table.grid(padding=(0, 1))
    words = f"{progress['answered']:,} of {progress['to_ask']:,} answered, {progress['accepted']:,} rows accepted"
    if progress["failed"]:
        words += f", {progress['failed']:,} failed"
    if look["left_s"] is not None:
        words += f"; about {_span(look['left_s'])} left"
    bar = ProgressBar(total=max(progress["to_ask"], 1), completed=ended, width=BAR_WIDTH)
    line.add_row(bar, Text(words))
    return line


def _teachers(teachers: Mapping[str, Any], over_s: float | None) -> Table:
    """A row a teacher; the pace is that of the last minute, of an ended run that of all of it (`over_s`)."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("teacher", no_wrap=True)
    for column in ("requests/min", "tokens/min", "in flight", "answered", "throttled", "errors", "failed"):
        table.add_column(column, justify="right")
    table.add_column("")
    for name, its in teachers.items():
        pace = its["per_minute"]
        if over_s is not None:
            tokens = its["input_tokens"] + its["output_tokens"]
            pace = {"sent": 60 * its["sent"] / over_s, "tokens": 60 * tokens / over_s} if over_s > 0 else {}
        table.add_row(
            Text(tame(name)),
            _of(pace.get("sent"), its["requests_per_minute"]),
            _of(pace.get("tokens"), its["tokens_per_minute"]),
            _of(its["in_flight"], its["concurrency"]) if over_s is None else "",
            *(f"{its[counted]:,}" for counted in ("answered", "throttled", "broken", "failed")),
            Text(_trouble(its) if over_s is None else "", style="yellow"),
        )
    return table


def _trouble(its: Mapping[str, Any]) -> str:
    if its["circuit_open"]:
        return "nothing but failures: probed"
    return f"asks to wait {_span(its['paused_s'])}" if its["paused_s"] >= 1 else ""


def _money(look: Mapping[str, Any], progress: Mapping[str, Any]) -> Text:
    budgets = dict(progress.get("budgets") or {})
    of_store = [budgets.pop(field) for field in list(budgets) if field.startswith("budget.usd")]
    limit = "".join(f" of ${its['limit_usd']:.2f}" for its in of_store)
    words = f"${look['usd']:.4f}{limit} spent by the store"
    if look["running"] and (held := progress.get("reserved_usd")):
        words += f", ${held:.4f} held for what is in flight"
    if held := sum(batch["worst_usd"] for batch in look["batches"]):
        words += f", at most ${held:.4f} in batches"
    for field, its in budgets.items():
        words += f"; {field}: ${its['spent_usd']:.4f} of ${its['limit_usd']:.2f}"
    return Text(tame(words))


def _steps(progress: Mapping[str, Any]) -> Iterator[str]:
    """Where there are several."""
    steps = progress.get("steps") or {}
    if len(steps) > 1:
        yield "answers by step: " + ", ".join(f"{name} {count:,}" for name, count in steps.items())


def _batches(waiting: list[dict[str, Any]]) -> Iterator[str]:
    for batch in waiting[:SHOWN_BATCHES]:
        status = batch["status"] or "not made yet"
        size, age = count_of(batch["requests"], "request"), _span(_age_s(batch["created_at"]))
        yield f"batch {batch['batch']}: {size} of {batch['teacher']}, {status}, {age} old"
    if len(waiting) > SHOWN_BATCHES:
        yield f"and {len(waiting) - SHOWN_BATCHES} more batches"


def _finish_reasons(progress: Mapping[str, Any]) -> Iterator[str]:
    reasons = progress.get("finish_reasons") or {}
    if reasons:
        most_first = sorted(reasons.items(), key=lambda item: -item[1])
        yield "finish reasons: " + ", ".join(f"{name} {count:,}" for name, count in most_first)


def _failures(progress: Mapping[str, Any]) -> Iterator[str]:
    reasons = sorted((progress.get("reasons") or {}).items(), key=lambda item: -item[1])
    yield from (f"{count:,} failed: {reason}" for reason, count in reasons[:SHOWN_REASONS])
    if len(reasons) > SHOWN_REASONS:
        yield f"and for {len(reasons) - SHOWN_REASONS} more reasons (`harvester status`)"


def _waits(look: Mapping[str, Any]) -> Iterator[str]:
    """What requests of a run under way wait for, most of them first."""
    if look["running"] is None:
        return
    waiting = dict((look["running"]["progress"] or {}).get("waiting") or {})
    if look["batches"]:
        waiting["batch"] = sum(batch["requests"] for batch in look["batches"])
    for what, count in sorted(waiting.items(), key=lambda item: -item[1]):
        yield f"{count_of(count, 'request')} waiting for {WAITS.get(what, what)}"


def _of(number: float | None, limit: float | None) -> str:
    shown = "-" if number is None else f"{number:,.0f}"
    return shown if limit is None else f"{shown} of {limit:,.0f}"


def _age_s(moment: str) -> float:
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())


def _span(seconds: float) -> str:
    """Such as `43 s`, `3 min 12 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004 - seconds of a minute
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
