"""What a student cost, as sums that anyone can check with the numbers beside them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from finetune.reporting.reading import Report
from finetune.reporting.words import label, minutes, plain, usd


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the bill."""

    what: str
    sum: str  # how the result comes about; "" where it was measured
    result: str


def bill(report: Report) -> tuple[Item, ...]:
    """Money and time of the whole road, then whatever else the report worked out."""
    return (*_basics(report), *(item for name, value in (report.cost or {}).items() for item in _items(name, value)))


def _basics(report: Report) -> Iterator[Item]:
    yield Item("Teacher's answers", "as the harvest was billed", usd(report.usd))
    spent = report.minutes
    if spent:
        total = sum(spent.values())
        yield Item("Time", " + ".join(f"{name} {value:.2f}" for name, value in spent.items()), minutes(total))


def _items(name: str, value: Any) -> Iterator[Item]:
    """A number stands for itself; an object says its unit and its arithmetic, or holds further numbers."""
    if not isinstance(value, Mapping):
        yield Item(label(name).capitalize(), "", plain(value))
    elif "value" in value:
        result = plain(value["value"]) if value["value"] is not None else "not given"
        unit = f"\u00a0{value['unit']}" if value.get("unit") and value["value"] is not None else ""
        rest = [str(inner) for key, inner in value.items() if key not in ("value", "unit") and inner is not None]
        yield Item(label(name).capitalize(), "; ".join(rest), f"{result}{unit}")
    else:
        for key, inner in value.items():
            yield from _items(f"{name}: {key}", inner)
