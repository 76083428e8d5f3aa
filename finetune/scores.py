"""report.json as the model card shows it. Reports of other versions lack some fields; what is lacking is not shown."""

from collections.abc import Iterator
from typing import Any

from finetune.markdown import plain, table


def arms_table(report: dict[str, Any]) -> str:
    """Each arm's score with its number of prompts and its interval."""
    rows = [
        (plain(arm), str(found.get("n", "-")), percent(found["score"]), _interval(found.get("interval")))
        for arm, found in _arms(report)
    ]
    return table(("arm", "prompts", "score", "95 % interval"), rows) if rows else "The report has no scores."


def gap(report: dict[str, Any]) -> str:
    """Gap recovered, or why it is not given."""
    found = report.get("gap_recovered") or {}
    if isinstance(found.get("value"), int | float):
        return f"Gap recovered: {percent(found['value'])} ({_interval(found.get('interval'))})."
    return f"Gap recovered: not given, {plain(found.get('refusal') or 'the report does not have it')}."


def eval_results(report: dict[str, Any] | None, recipe: str) -> list[dict[str, Any]]:
    """The student's score in the shape of the hub's model-index."""
    student = dict(_arms(report or {})).get("student")
    if student is None:
        return []
    name = f"share of {student.get('n', 'the')} held-out prompts answered right"
    return [
        {
            "task": {"type": "text-generation"},
            "dataset": {"name": recipe, "type": recipe, "split": "test"},
            "metrics": [{"type": "accuracy", "value": round(float(student["score"]), 4), "name": name}],
        }
    ]


def _arms(report: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    arms = report.get("arms")
    for arm, found in arms.items() if isinstance(arms, dict) else ():
        if isinstance(found, dict) and isinstance(found.get("score"), int | float):
            yield str(arm), found


def _interval(found: Any) -> str:
    if isinstance(found, list) and len(found) == 2:  # noqa: PLR2004 - low and high
        return f"{percent(found[0])} to {percent(found[1])}"
    return "no interval"


def percent(share: float) -> str:
    """0.5 → 50.0 %."""
    return f"{100 * share:.1f} %"
