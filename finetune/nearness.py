"""Likelihoods of the teacher's answers → means with intervals, differences, the share of the gap that was closed.

Several answers to one prompt are averaged, so each prompt weighs the same.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from finetune.intervals import too_few
from finetune.likelihood import Likelihood, Measured
from finetune.unbounded import gap_closed, interval, paired_difference

MODELS = ("base", "student", "teacher")
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
    of_same = {model: _by_prompt(_with_teacher(rows), model, BYTE) for model in MODELS}
    differences = [
        _difference(measure, "base", values["student"][measure], values["base"][measure])
        for measure in MEASURES
        if values["student"][measure]
    ]
    if of_same["teacher"]:
        differences.append(_difference(BYTE, "teacher", of_same["student"], of_same["teacher"]))
    return {
        "models": {
            model: {measure: _mean(measure, found) for measure, found in measures.items()}
            for model, measures in values.items()
        },
        "differences": differences,
        "gap_closed": _gap(of_same),
    }


def _by_prompt(rows: Sequence[Measured], model: str, measure: str) -> Values:
    found: dict[str, list[float]] = {}
    for row in rows:
        value = MEASURES[measure](row, row.models[model]) if model in row.models else None
        if value is not None:
            found.setdefault(row.seed_id, []).append(value)
    return {seed: sum(values) / len(values) for seed, values in found.items()}


def _with_teacher(rows: Sequence[Measured]) -> list[Measured]:
    """The rows of which the teacher's own is known, each for all three of the same text.

    An end of turn that one of them has not been asked for is left out of all.
    """
    found = [row for row in rows if "teacher" in row.models]
    return [row if _all_end(row) else replace(row, models=_without_end(row.models)) for row in found]


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


def _difference(measure: str, than: str, mine: Values, theirs: Values) -> dict[str, Any]:
    value, sure = paired_difference(list(mine.values()), [theirs[seed] for seed in mine])
    said = {"interval": list(sure)} if sure else {"interval": None, "refusal": too_few(len(mine))}
    return {"measure": measure, "arm": "student", "than": than, "n": len(mine), "value": value, **said}


def _gap(values: Mapping[str, Values]) -> dict[str, Any]:
    base, teacher, student = (list(values[model].values()) for model in ("base", "teacher", "student"))
    if not teacher:
        return {"n": 0, "value": None, "refusal": NO_TEACHER}
    gap = gap_closed(base, teacher, student)
    if gap.interval is None:
        return {"n": len(teacher), "value": None, "refusal": gap.refusal}
    return {"n": len(teacher), "value": gap.value, "interval": list(gap.interval)}
