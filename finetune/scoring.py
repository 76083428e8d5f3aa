"""Kept answers → scores with intervals, differences, the gap: what anyone can recompute from RUN/answers."""

from collections.abc import Callable, Mapping
from typing import Any

from finetune.answers import Lines
from finetune.arms import ARMS
from finetune.intervals import gap_recovered, interval, paired_difference, too_few

AGAINST = ("base", "base_instruction", "teacher", "unfiltered")


def summarise(answers: Mapping[str, Lines]) -> dict[str, Any]:
    """Arms, differences and gap of a report.

    Args:
        answers: the lines of each arm; several of one prompt are averaged, so each prompt weighs the same.
    """
    scores = {arm: by_prompt(answers[arm], lambda line: line["passed"]) for arm in ARMS if arm in answers}
    return {
        "arms": {arm: _arm(answers[arm], found) for arm, found in scores.items()},
        "differences": [_difference(scores, than) for than in AGAINST if than in scores],
        "gap_recovered": _gap(scores),
    }


def by_prompt(lines: Lines, passed: Callable[[Mapping[str, Any]], bool]) -> dict[str, float]:
    """Share of an arm's answers to each prompt that pass."""
    found: dict[str, list[bool]] = {}
    for line in lines:
        found.setdefault(line["seed_id"], []).append(passed(line))
    return {seed: sum(verdicts) / len(verdicts) for seed, verdicts in found.items()}


def _arm(lines: Lines, scores: Mapping[str, float]) -> dict[str, Any]:
    lengths = sorted(line["tokens"] for line in lines if line.get("tokens") is not None)
    return {
        **_score(scores),
        "unfinished": sum(not line["finished"] for line in lines),
        "fields": {name: _score(by_prompt(having, _has(name))) for name, having in _fields(lines).items()},
        "answer_tokens": {"median": lengths[len(lengths) // 2], "p95": lengths[int(0.95 * len(lengths))]}
        if lengths
        else None,
    }


def _score(scores: Mapping[str, float]) -> dict[str, Any]:
    values = list(scores.values())
    return {"n": len(values), "score": sum(values) / len(values), "interval": list(interval(values))}


def _fields(lines: Lines) -> dict[str, Lines]:
    """The lines that each field of the references occurs in."""
    found: dict[str, Lines] = {}
    for line in lines:
        for name in line.get("fields") or {}:
            found.setdefault(name, []).append(line)
    return found


def _has(name: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda line: bool(line["fields"][name])


def _difference(scores: Mapping[str, Mapping[str, float]], than: str) -> dict[str, Any]:
    seeds = list(scores["student"])
    student, other = ([scores[arm][seed] for seed in seeds] for arm in ("student", than))
    value, found = paired_difference(student, other)
    said = {"interval": list(found)} if found else {"interval": None, "refusal": too_few(len(seeds))}
    return {"arm": "student", "than": than, "value": value, **said}


def _gap(scores: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    base, teacher, student = ([scores[arm][seed] for seed in scores["base"]] for arm in ("base", "teacher", "student"))
    gap = gap_recovered(base, teacher, student)
    if gap.interval is None:
        return {"value": None, "refusal": gap.refusal}
    return {"value": gap.value, "interval": list(gap.interval)}
