"""The table that people read on a terminal; report.json is the same for programs."""

from collections.abc import Iterator
from typing import Any

from finetune.reporting.reading import Difference, Gap, Report
from finetune.reporting.words import ascii_spaces, percent, points, points_span, span


def table(result: dict[str, Any]) -> str:
    """The report as plain text: the arms, the differences, the gap, and what it cost."""
    return ascii_spaces("\n".join(_lines(Report.model_validate(result))))


def _lines(report: Report) -> Iterator[str]:
    yield f"{'arm':<18}{'n':>5}{'score':>9}   95 % interval"
    for arm, found in report.arms.items():
        cut = f"   ({found.unfinished} unfinished)" if found.unfinished else ""
        yield f"{arm:<18}{found.n:>5}{percent(found.score):>9}   {span(found.interval)}{cut}"
    if report.differences:
        yield ""
        yield from map(_difference, report.differences)
    yield ""
    yield _gap(report.gap_recovered or Gap(refusal="it was not recorded"))
    if (overlap := report.overlap) is not None:
        warning = "   WARNING: the student has seen them" if overlap.prompts else ""
        yield f"test prompts also in train: {overlap.prompts} of {overlap.of}{warning}"
    spent = ", ".join(f"{name} {value:.1f}" for name, value in report.minutes.items())
    yield f"cost: {report.usd or 0:.4f} USD; minutes: {spent}"


def _difference(found: Difference) -> str:
    name = f"{found.arm} - {found.than}"
    return f"{name:<32}{points(found.value):>7} points   {points_span(found.interval)}"


def _gap(gap: Gap) -> str:
    if gap.value is None:
        return f"gap recovered: not given, {gap.refusal}"
    return f"gap recovered: {percent(gap.value)} (95 % interval {span(gap.interval)})"
