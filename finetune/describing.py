"""What the data was: a report's section on the dataset, read column by column however many rows there are."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from finetune.data import Dataset
from finetune.runs import Facts

POINTS = 50
"""Of the curve of spending."""
QUANTILES = [place / 20 for place in range(21)]
COLUMNS = ["teacher", "model", "provider", "collected_at", "cost_usd", "completion_tokens"]


def describe(data: Dataset, facts: Facts) -> dict[str, Any]:
    """The dataset as the report shows it.

    Args:
        data: the opened dataset.
        facts: the run that was trained on it.
    """
    table = _columns(data.path, "*", COLUMNS)
    notes = data.notes
    return {
        "recipe": notes.recipe,
        "rows": {split: len(rows) for split, rows in data.splits.items()},
        "learnt_from": learnt_from(facts),
        "dev_rows": facts.rows.get("dev"),
        "asked": notes.asked,
        "accepted": notes.accepted,
        "unfiltered": notes.unfiltered,
        "left_out": {
            "harvest": None if notes.dropped is None else dict(notes.dropped),
            "training": dict(facts.dropped),
        },
        "cut": dict(facts.cut),
        "soft": dict(facts.soft),
        "teachers": _distinct(table, "teacher"),
        "models": _distinct(table, "model"),
        "providers": _distinct(table, "provider"),
        "terms": None if notes.terms is None else [one.model_dump(mode="json") for one in notes.terms],
        "seeds": [one.model_dump(mode="json") for one in notes.seeds],
        "verify": sorted(notes.verify),
        "spend": _spend(table),
        "completion_tokens": _quantiles(table["completion_tokens"]),
    }


def usd_per_answer(path: Path) -> float | None:
    """What the teacher's answers to the held-out prompts cost on average; None where nothing says.

    Args:
        path: the dataset's folder.
    """
    mean = pc.mean(_columns(path, "test-*", ["cost_usd"])["cost_usd"]).as_py()
    return None if mean is None else float(mean)


def learnt_from(facts: Facts) -> dict[str, Any]:
    """What training reached of the split; None where the run is older than such notes.

    An epoch takes every row once, so rows learnt from as often as there are rows are all of them.
    """
    usable, seen = facts.rows.get("train", 0), facts.seen.get("rows")
    return {
        "rows": None if seen is None else min(seen, usable),
        "of": usable + sum(facts.dropped.values()),
        "passes": seen / min(seen, usable) if seen and usable else None,
        "supervised": facts.seen.get("supervised"),
        "total": facts.seen.get("total"),
    }


def _columns(path: Path, files: str, columns: list[str]) -> Any:
    found = sorted(path.glob(f"data/{files}.parquet"))
    return pa.concat_tables([pq.read_table(file, columns=columns) for file in found])


def _distinct(table: Any, column: str) -> list[str]:
    return sorted(value for value in pc.unique(table[column]).to_pylist() if value is not None)


def _spend(table: Any) -> list[list[float]]:
    """[minutes since the first answer, USD so far] of the rows in the dataset, thinned; the last point is the whole."""
    known = table.filter(pc.and_(pc.is_valid(table["collected_at"]), pc.is_valid(table["cost_usd"])))
    ordered = known.sort_by("collected_at")
    if not len(ordered):
        return []
    sums = pc.cumulative_sum(ordered["cost_usd"])
    last = len(ordered) - 1
    places = sorted({round(place / (POINTS - 1) * last) for place in range(POINTS)})
    times, start = ordered["collected_at"], ordered["collected_at"][0].as_py()
    return [[(times[place].as_py() - start).total_seconds() / 60, sums[place].as_py()] for place in places]


def _quantiles(column: Any) -> list[float]:
    found = pc.quantile(column, q=QUANTILES, interpolation="nearest").to_pylist()
    return [] if None in found else found
