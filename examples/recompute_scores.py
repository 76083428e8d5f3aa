"""Recomputes every score and interval of RUN/report.json from RUN/answers/*.jsonl.

It shares no code with finetune: the verdicts, Wilson's interval and the bootstrap are written anew, with the standard
library only. Bootstrap intervals are drawn with other dice, so they agree but for a tenth of their width.

    python examples/recompute_scores.py runs/extract-orders/student
"""

import json
import math
import random
import sys
import unicodedata
from pathlib import Path
from typing import Any

Z = 1.959963984540054
DRAWS = 4000
Scores = dict[str, float]


def fold(text: str) -> str:
    """Composed letters, single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def equal(value: Any, reference: Any) -> bool:
    """JSON values: text in composed letters and single spaces, numbers by value, objects with just these fields."""
    if isinstance(reference, dict):
        same = isinstance(value, dict) and value.keys() == reference.keys()
        return same and all(equal(value[name], expected) for name, expected in reference.items())
    if isinstance(reference, list):
        same = isinstance(value, list) and len(value) == len(reference)
        return same and all(equal(one, other) for one, other in zip(value, reference, strict=True))
    if isinstance(value, str) and isinstance(reference, str):
        return fold(value) == fold(reference)
    if isinstance(value, bool) or isinstance(reference, bool):
        return value is reference
    return not isinstance(value, dict | list | str) and value == reference


def refuse(name: str) -> Any:
    """NaN and Infinity are no JSON."""
    raise ValueError(name)


def verdict(line: dict[str, Any]) -> tuple[bool, dict[str, bool]]:
    """Whether an answer is right, and which of the reference's fields are."""
    reference = line["reference"]
    if isinstance(reference, str):
        return fold(line["answer"]) == fold(reference), {}
    try:
        value = json.loads(line["answer"], parse_constant=refuse)
    except (ValueError, RecursionError):
        return False, dict.fromkeys(reference, False) if isinstance(reference, dict) else {}
    fields = {}
    if isinstance(reference, dict):
        found = value if isinstance(value, dict) else {}
        fields = {name: name in found and equal(found[name], expected) for name, expected in reference.items()}
    return equal(value, reference), fields


def mean(scores: Scores) -> float:
    """Every prompt weighs the same."""
    return sum(scores.values()) / len(scores)


def wilson(passed: int, n: int) -> list[float]:
    """Wilson's 95 % score interval of a proportion."""
    share = passed / n
    middle = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
    return [middle - half if passed else 0.0, middle + half if passed < n else 1.0]


def bootstrap(statistic: Any, seeds: list[str]) -> list[float]:
    """95 % interval of a statistic of prompts drawn with replacement."""
    dice = random.Random(1)  # noqa: S311 - not a secret
    drawn = sorted(statistic(dice.choices(seeds, k=len(seeds))) for _ in range(DRAWS))
    return [drawn[int(0.025 * DRAWS)], drawn[math.ceil(0.975 * DRAWS) - 1]]


def interval(scores: Scores) -> list[float]:
    """Of the mean score."""
    if all(score in (0, 1) for score in scores.values()):
        return wilson(round(sum(scores.values())), len(scores))
    return bootstrap(lambda seeds: sum(scores[seed] for seed in seeds) / len(seeds), list(scores))


def by_prompt(lines: list[dict[str, Any]], passed: Any) -> Scores:
    """Share of the answers to each prompt that pass."""
    found: dict[str, list[bool]] = {}
    for line in lines:
        found.setdefault(line["seed_id"], []).append(passed(line))
    return {seed: sum(verdicts) / len(verdicts) for seed, verdicts in found.items()}


class Checker:
    """Compares what the report says with what comes out here, and prints a line for each."""

    def __init__(self) -> None:
        self.wrong = 0

    def check(self, name: str, said: Any, found: Any, *, within: float = 1e-9) -> None:
        """One number, or a list of them."""
        pairs = zip(said, found, strict=True) if isinstance(said, list) and isinstance(found, list) else [(said, found)]
        # Equal first: infinities are, and their difference is no number.
        good = all(one == other or (None not in (one, other) and abs(one - other) <= within) for one, other in pairs)
        self.wrong += not good
        print(f"{'OK     ' if good else 'DIFFERS'} {name}: report {shown(said)}, here {shown(found)}")

    def interval(self, name: str, said: list[float], found: list[float], *, exact: bool, n: int) -> None:
        """Wilson's exactly, a bootstrap's but for its dice."""
        self.check(name, said, found, within=1e-9 if exact else 0.1 * abs(found[1] - found[0]) + 1 / n)


def shown(value: Any) -> str:
    """A number or a list of them as text."""
    if isinstance(value, list):
        return "[" + ", ".join(shown(inner) for inner in value) + "]"
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def check_arms(report: dict[str, Any], answers: dict[str, list[dict[str, Any]]], checker: Checker) -> dict[str, Scores]:
    """Each arm and its fields; returns the scores by prompt."""
    scores = {}
    for arm, said in report["arms"].items():
        lines = answers[arm]
        scores[arm] = by_prompt(lines, lambda line: verdict(line)[0])
        check_score(arm, said, scores[arm], checker)
        checker.check(f"{arm}: unfinished", said["unfinished"], sum(not line["finished"] for line in lines))
        names = {name for line in lines for name in verdict(line)[1]}
        checker.check(f"{arm}: fields", sorted(said["fields"]) == sorted(names), True)
        for name, told in said["fields"].items():
            having = [line | {"right": verdict(line)[1][name]} for line in lines if name in verdict(line)[1]]
            check_score(f"{arm}, field {name}", told, by_prompt(having, lambda line: line["right"]), checker)
    return scores


def check_score(title: str, said: dict[str, Any], found: Scores, checker: Checker) -> None:
    """Prompts, score and interval."""
    checker.check(f"{title}: prompts", said["n"], len(found))
    checker.check(f"{title}: score", said["score"], mean(found))
    whole = all(score in (0, 1) for score in found.values())
    checker.interval(f"{title}: interval", said["interval"], interval(found), exact=whole, n=len(found))


def check_differences(report: dict[str, Any], scores: dict[str, Scores], checker: Checker) -> None:
    """Paired differences between arms."""
    for said in report["differences"]:
        one, other = scores[said["arm"]], scores[said["than"]]
        apart = {seed: one[seed] - other[seed] for seed in one}
        found = bootstrap(lambda seeds, apart=apart: sum(apart[seed] for seed in seeds) / len(seeds), list(apart))
        title = f"{said['arm']} - {said['than']}"
        checker.check(f"{title}: difference", said["value"], mean(one) - mean(other))
        checker.interval(f"{title}: interval", said["interval"], found, exact=False, n=len(apart))


def check_gap(report: dict[str, Any], scores: dict[str, Scores], checker: Checker) -> None:
    """The share of the lead of the teacher over the base that the student has, or its refusal."""
    base, teacher, student = scores["base"], scores["teacher"], scores["student"]
    seeds = list(base)

    def lead(drawn: list[str]) -> float:
        return sum(teacher[seed] - base[seed] for seed in drawn)

    def share(drawn: list[str]) -> float:
        gained = sum(student[seed] - base[seed] for seed in drawn)
        return gained / lead(drawn) if lead(drawn) > 0 else math.copysign(math.inf, gained)

    said = report["gap_recovered"]
    low = bootstrap(lambda drawn: lead(drawn) / len(drawn), seeds)[0]
    if said["value"] is None:
        checker.check("gap recovered: refused", True, low <= 1 / len(seeds))
        return
    checker.check("gap recovered: given", True, low > -1 / len(seeds))
    checker.check("gap recovered: value", said["value"], share(seeds))
    checker.interval("gap recovered: interval", said["interval"], bootstrap(share, seeds), exact=False, n=len(seeds))


def main(run: Path) -> int:
    """The exit code: 1 where anything differs."""
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    answers = {
        arm: [json.loads(line) for line in (run / "answers" / f"{arm}.jsonl").read_text(encoding="utf-8").splitlines()]
        for arm in report["arms"]
    }
    checker = Checker()
    for arm, lines in answers.items():
        stored = [(line["passed"], line["fields"]) for line in lines]
        checker.check(
            f"{arm}: verdicts that differ", 0, sum(verdict(a) != b for a, b in zip(lines, stored, strict=True))
        )
    scores = check_arms(report, answers, checker)
    check_differences(report, scores, checker)
    check_gap(report, scores, checker)
    print(f"{checker.wrong} differ" if checker.wrong else "all agree")
    return 1 if checker.wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
