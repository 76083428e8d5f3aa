"""What a student cost, as sums that anyone can check with the numbers beside them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from finetune.reporting.reading import Report
from finetune.reporting.words import GAP, label, minutes, plain, usd

_NAMES = {
    "harvest": "Teacher's answers",
    "machine": "Machine, collecting and training",
    "student_to_be": "The student, in all",
    "teacher_per_1000_answers": "Teacher, 1,000 answers",
    "student_seconds_per_1000_answers": "Student, time of 1,000 answers",
    "student_per_1000_answers": "Student, 1,000 answers",
    "break_even": "Break-even against the teacher",
    "usd_per_point": "A point over the base, in money",
    "hours_per_point": "A point over the base, in time",
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
        yield Item("Time", f"{how} min", minutes(sum(spent.values())))


def _money(report: Report) -> Iterator[Item]:
    cost = report.cost or {}
    if "harvest" not in cost:
        yield Item(_NAMES["harvest"], "as the harvest was billed", usd(report.usd))
    for name, value in cost.items():
        yield _item(_NAMES.get(name) or label(name).capitalize(), value)


def _item(what: str, value: Any) -> Item:
    """An entry of the report's `cost`: value, unit, and the sum it comes from or the reason there is none."""
    if not isinstance(value, Mapping):
        return Item(what, "", plain(value))
    number, how = value.get("value"), str(value.get("how") or "")
    return Item(what, how, "not given" if number is None else f"{plain(number)}{GAP}{value.get('unit') or ''}".rstrip())
