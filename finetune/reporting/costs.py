"""What a student cost, as sums that anyone can check with the numbers beside them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from finetune.reporting.report import Report
from finetune.reporting.words import GAP, label, minutes, plain, usd

_NAMES = {
    "harvest": "Teacher's answers",
    "machine": "The machine's time",
    "student_to_be": "Making the student, in all",
    "teacher_per_1000_answers": "1,000 answers of the teacher",
    "student_seconds_per_1000_answers": "1,000 answers of the student, in time",
    "student_per_1000_answers": "1,000 answers of the student, in money",
    "break_even": "Answers until the student has paid for itself",
    "usd_per_point": "Each point over the base, in money",
    "hours_per_point": "Each point over the base, in time",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the bill."""

    what: str
    sum: str  # how the result comes about; "" where it was measured
    result: str


def bill(report: Report) -> tuple[Item, ...]:
    """Money and time of the whole road, then whatever else the report worked out."""
    return (*_time(report), *_money(report))


def _time(report: Report) -> Iterator[Item]:
    if spent := report.minutes:
        how = " + ".join(f"{name} {value:.2f}" for name, value in spent.items())
        yield Item("Time, in all", f"{how} min", minutes(sum(spent.values())))


def _money(report: Report) -> Iterator[Item]:
    cost = report.cost or {}
    if "harvest" not in cost:
        yield Item(
            _NAMES["harvest"], "all answers that the teacher was asked for, as they were billed", usd(report.usd)
        )
    for name, value in cost.items():
        yield _item(_NAMES.get(name) or label(name).capitalize(), value)


def _item(what: str, value: Any) -> Item:
    """An entry of the report's `cost`: value, unit, and the sum it comes from or the reason there is none."""
    if not isinstance(value, Mapping):
        return Item(what, "", plain(value))
    number, how = value.get("value"), str(value.get("how") or "")
    return Item(what, how, _result(number, str(value.get("unit") or "")))


def _result(number: Any, unit: str) -> str:
    if not isinstance(number, int | float):
        return "not given"
    if unit == "USD":
        return usd(number)
    return f"{f'{number:,.0f}' if unit == 'answers' else plain(number)}{GAP}{unit}".rstrip()
