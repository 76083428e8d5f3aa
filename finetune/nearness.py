"""Likelihoods of the teacher's answers → means with intervals, differences, the share of the gap that was closed.

Several answers to one prompt are averaged, so each prompt weighs the same.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from finetune.intervals import too_few
from finetune.likelihood import Likelihood, Measured
from finetune.unbounded import gap_closed, interval, paired_difference

STUDENT = "student"
MODELS = ("base", STUDENT, "teacher")
MEASURES: Mapping[str, Callable[[Measured, Likelihood], float | None]] = {
    "nats_per_byte": lambda row, found: found.total / row.size,
    "nats_per_token": lambda _, found: found.total / found.tokens,
    "divergence": lambda _, found: found.divergence,
    "agreement": lambda _, found: found.agreement,
}
"""What is told of each model. Bytes compare between tokenizers; less is better of all but the agreement."""
BYTE = "nats_per_byte"
AGREEMENT = "agreement"
"""A share, of which more is better."""
NO_TEACHER = "no answer has the log-probabilities of all its teacher's tokens; collect with `logprobs` in its sampling"

Values = dict[str, float]
"""By seed."""


def summarise(rows: Sequence[Measured]) -> dict[str, Any]:
    """What heldout.json says of the rows.

    Args:
        rows: at least one.
    """
    values = {model: {measure: _by_prompt(rows, model, measure) for measure in MEASURES} for model in MODELS}
    with_teacher = [_of_same_text(row) for row in rows if "teacher" in row.models]
    of_same = {model: _by_prompt(with_teacher, model, BYTE) for model in MODELS}
    return {
        "models": {
            model: {measure: _mean(measure, found) for measure, found in measures.items()}
            for model, measures in values.items()
        },
        "differences": [
            *_differences(rows, MEASURES, STUDENT, "base"),
            *_differences(with_teacher, (BYTE,), STUDENT, "teacher"),
        ],
        "gap_closed": _gap(of_same),
    }


def students_apart(
    mine: Sequence[Measured], theirs: Sequence[Measured], name: str, than: str
) -> tuple[list[dict[str, Any]], bool]:
    """What one run's student has more than another's, of the same answers.

    Args:
        mine: of the one run.
        theirs: of the other, with the same row_ids.
        name: what the one's student is called, as `arm`.
        than: what the other's is called.

    Returns:
        What heldout.json calls `differences`, and whether both cut each answer into as many tokens. Where not, they are
        by byte alone: tokens that differ are not the same question.
    """
    others = {row.row_id: row.models[STUDENT] for row in theirs}
    both = [replace(row, models={name: row.models[STUDENT], than: others[row.row_id]}) for row in mine]
    rows = [_of_same_text(row) for row in both]
    same_tokens = all(row.models[name].tokens == row.models[than].tokens for row in rows)
    return list(_differences(rows, MEASURES if same_tokens else (BYTE,), name, than)), same_tokens


def _by_prompt(rows: Sequence[Measured], model: str, measure: str) -> Values:
    found: dict[str, list[float]] = {}
    for row in rows:
        value = _value(row, model, measure)
        if value is not None:
            found.setdefault(row.seed_id, []).append(value)
    return {seed: sum(values) / len(values) for seed, values in found.items()}


def _value(row: Measured, model: str, measure: str) -> float | None:
    return MEASURES[measure](row, row.models[model]) if model in row.models else None


def _of_same_text(row: Measured) -> Measured:
    """An end of turn that one of the models has not been asked for is left out of all."""
    return row if _all_end(row) else replace(row, models=_without_end(row.models))


def _all_end(row: Measured) -> bool:
    return all(one.end_nats is not None for one in row.models.values())


def _without_end(models: Mapping[str, Likelihood]) -> dict[str, Likelihood]:
    return {model: one.without_end() for model, one in models.items()}


def _mean(measure: str, found: Values) -> dict[str, Any] | None:
    if not found:
        return None
    values, most = list(found.values()), 1.0 if measure == AGREEMENT else math.inf
    sure = interval(values)
    return {
        "n": len(values),
        "mean": sum(values) / len(values),
        "interval": sure and [max(0.0, sure[0]), min(most, sure[1])],
    }


def _differences(rows: Sequence[Measured], measures: Iterable[str], arm: str, than: str) -> Iterator[dict[str, Any]]:
    """Of each measure that both have of any row, over the rows of which both have it."""
    for measure in measures:
        both = [row for row in rows if None not in (_value(row, arm, measure), _value(row, than, measure))]
        if both:
            mine, theirs = (list(_by_prompt(both, model, measure).values()) for model in (arm, than))
            value, sure = paired_difference(mine, theirs)
            said = {"interval": list(sure)} if sure else {"interval": None, "refusal": too_few(len(mine))}
            yield {"measure": measure, "arm": arm, "than": than, "n": len(mine), "value": value, **said}


def _gap(values: Mapping[str, Values]) -> dict[str, Any]:
    base, teacher, student = (list(values[model].values()) for model in ("base", "teacher", STUDENT))
    if not teacher:
        return {"n": 0, "value": None, "refusal": NO_TEACHER}
    gap = gap_closed(base, teacher, student)
    if gap.interval is None:
        return {"n": len(teacher), "value": None, "refusal": gap.refusal}
    return {"n": len(teacher), "value": gap.value, "interval": list(gap.interval)}
