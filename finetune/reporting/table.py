"""The table that people read on a terminal; report.json is the same for programs."""

from collections.abc import Iterator
from typing import Any

from finetune.reporting.headline import gap, in_words, warnings
from finetune.reporting.report import Difference, Report, make_report
from finetune.reporting.words import ascii_spaces, percent, points, points_span, span


def table(result: dict[str, Any]) -> str:
    """The report as plain text: the arms, the differences, the gap, what it cost, and what speaks against it."""
    return ascii_spaces("\n".join(_lines(make_report(result))))


def _lines(report: Report) -> Iterator[str]:
    yield f"{'arm':<18}{'n':>5}{'score':>9}   95 % interval"
    for arm, found in report.arms.items():
        cut = f"   ({found.unfinished} unfinished)" if found.unfinished else ""
        yield f"{arm:<18}{found.n:>5}{percent(found.score):>9}   {span(found.interval)}{cut}"
    if report.differences:
        yield ""
        yield from map(_difference, report.differences)
    yield ""
    yield f"gap recovered: {gap(report.gap_recovered)}"
    if (overlap := report.overlap) is not None:
        yield f"test prompts also in train: {overlap.prompts} of {overlap.of}"
    spent = ", ".join(f"{name} {value:.1f}" for name, value in report.minutes.items())
    yield f"teacher's answers: {report.usd or 0:.4f} USD; minutes: {spent}"
    if said := warnings(report):
        yield ""
        yield from (f"WARNING: {text}" for text in said)


def _difference(found: Difference) -> str:
    name, sure = f"{found.arm} - {found.than}", points_span(found.interval) if found.interval else in_words(found)
    return f"{name:<32}{points(found.value):>7} points   {sure}"
