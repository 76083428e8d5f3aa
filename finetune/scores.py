"""A report as the model card shows it, in the numbers and words of the report's own page."""

from typing import Any

from finetune.markdown import bullets, plain, table
from finetune.reporting.headline import gap, in_words, verdict
from finetune.reporting.heldout import Heldout
from finetune.reporting.nearness import nearness_cells, nearness_notes
from finetune.reporting.report import Report
from finetune.reporting.words import ascii_spaces, percent, points, points_span, span

SURE = "95 % interval"
NEARNESS = (
    "No answer was scored: the held-out prompts have no right one. Measured was how likely the models find the"
    " teacher's answers to them, in nats (less is better; of agreement more), and how far they are from the"
    " probabilities that its API listed."
)


def scores(report: Report) -> str:
    """What was found in sentences, each arm's score, the student's difference to each other arm, and the gap."""
    parts = [_text(" ".join(verdict(report))), _arms(report)]
    if report.differences:
        rows = [
            (
                _text(f"{one.arm} - {one.than}"),
                _text(points(one.value)),
                _text(points_span(one.interval)) if one.interval else "none",
                _text(in_words(one)),
            )
            for one in report.differences
        ]
        parts.append(table(("difference", "points", SURE, "in words"), rows))
    parts.append(f"Gap recovered, (student - base) / (teacher - base): {_text(gap(report.gap_recovered))}.")
    return "\n\n".join(parts)


def nearness(found: Heldout) -> str:
    """How near the student is to the teacher's own answers, which nothing could score."""
    rows = [tuple(map(_text, cells)) for cells in nearness_cells(found)]
    header = ("measure", "of", "prompts", "mean", SURE)
    return f"{NEARNESS}\n\n{table(header, rows)}\n\n{bullets(map(_text, nearness_notes(found)))}"


def eval_results(report: Report | None, recipe: str) -> list[dict[str, Any]]:
    """The student's score in the shape of the hub's model-index."""
    student = report.arms.get("student") if report else None
    if student is None:
        return []
    name = f"share of {student.n} held-out prompts answered right"
    return [
        {
            "task": {"type": "text-generation"},
            "dataset": {"name": recipe, "type": recipe, "split": "test"},
            "metrics": [{"type": "accuracy", "value": round(student.score, 4), "name": name}],
        }
    ]


def _arms(report: Report) -> str:
    rows = [
        (plain(arm), str(found.n), _text(percent(found.score)), _text(span(found.interval)))
        for arm, found in report.arms.items()
    ]
    return table(("arm", "prompts", "score", SURE), rows)


def _text(text: str) -> str:
    return plain(ascii_spaces(text))
