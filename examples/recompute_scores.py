"""Recomputes every score and interval of RUN/report.json from RUN/answers/*.jsonl.

It shares no code with finetune: the verdicts, Wilson's interval and the bootstrap are written anew, with the standard
library only. Bootstrap intervals are drawn with other dice, so their ends may differ by a tenth of their width and the
weight of one prompt; everything else must be the same. Exit code 1 where anything differs.

    python examples/recompute_scores.py runs/extract-orders/student

With --trust-passed the stored verdicts are taken as they are, and only the arithmetic is checked.
"""

import argparse
import json
import math
import random
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

Z = 1.959963984540054
DRAWS = 4000
FEWEST = 6
"""Prompts that a gap needs."""
Scores = dict[str, float]
Answers = dict[str, list[dict[str, Any]]]
Judge = Callable[[dict[str, Any]], tuple[bool, dict[str, bool]]]


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


def finite(digits: str) -> float:
    """A number within a float's range."""
    if math.isinf(number := float(digits)):
        raise ValueError(digits)
    return number


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which no name comes twice."""
    if len(values := dict(pairs)) < len(pairs):
        raise ValueError("a name twice")
    return values


def stored(line: dict[str, Any]) -> tuple[bool, dict[str, bool]]:
    """The verdict that stands beside an answer."""
    return line["passed"], line["fields"]


def verdict(line: dict[str, Any]) -> tuple[bool, dict[str, bool]]:
    """Whether an answer is right, and which of the reference's fields are."""
    reference = line["reference"]
    if isinstance(reference, str):
        return fold(line["answer"]) == fold(reference), {}
    try:
        value = json.loads(line["answer"], parse_constant=refuse, parse_float=finite, object_pairs_hook=once)
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


def by_prompt(lines: list[dict[str, Any]], passed: list[bool]) -> Scores:
    """Share of the answers to each prompt that pass."""
    found: dict[str, list[bool]] = {}
    for line, right in zip(lines, passed, strict=True):
        found.setdefault(line["seed_id"], []).append(right)
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


def check_arms(report: dict[str, Any], answers: Answers, judge: Judge, checker: Checker) -> dict[str, Scores]:
    """Each arm and its fields; returns the scores by prompt."""
    scores = {}
    for arm, said in report["arms"].items():
        lines = answers[arm]
        verdicts = [judge(line) for line in lines]
        scores[arm] = by_prompt(lines, [passed for passed, _ in verdicts])
        check_score(arm, said, scores[arm], checker)
        checker.check(f"{arm}: unfinished", said["unfinished"], sum(not line["finished"] for line in lines))
        lengths = sorted(line["tokens"] for line in lines if line["tokens"] is not None)
        found = [lengths[len(lengths) // 2], lengths[int(0.95 * len(lengths))]] if lengths else None
        told = said["answer_tokens"] and [said["answer_tokens"]["median"], said["answer_tokens"]["p95"]]
        checker.check(f"{arm}: answer tokens, median and p95", told, found)
        names = {name for _, fields in verdicts for name in fields}
        checker.check(f"{arm}: fields", sorted(said["fields"]) == sorted(names), True)
        for name, field in said["fields"].items():
            having = [(line, fields[name]) for line, (_, fields) in zip(lines, verdicts, strict=True) if name in fields]
            right = by_prompt([line for line, _ in having], [has for _, has in having])
            check_score(f"{arm}, field {name}", field, right, checker)
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
        checker.check("gap recovered: refused", True, low <= 1 / len(seeds) or len(seeds) < FEWEST)
        return
    checker.check("gap recovered: given", True, low > -1 / len(seeds))
    checker.check("gap recovered: value", said["value"], share(seeds))
    checker.interval("gap recovered: interval", said["interval"], bootstrap(share, seeds), exact=False, n=len(seeds))


def read(path: Path) -> list[dict[str, Any]]:
    """A JSON Lines file."""
    # Not splitlines(): an answer may hold characters that are line ends to Python and not to JSON.
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def main(run: Path, *, trust: bool) -> int:
    """The exit code: 1 where anything differs."""
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    answers = {arm: read(run / "answers" / f"{arm}.jsonl") for arm in report["arms"]}
    asked = {line["seed_id"]: line["reference"] for line in read(run / "answers" / "prompts.jsonl")}
    checker = Checker()
    for arm, lines in answers.items():
        checker.check(f"{arm}: answers every prompt", asked.keys() == {line["seed_id"] for line in lines}, True)
        foreign = sum(asked.get(line["seed_id"]) != line["reference"] for line in lines)
        checker.check(f"{arm}: references that differ from prompts.jsonl", 0, foreign)
        if not trust:
            checker.check(f"{arm}: verdicts that differ", 0, sum(verdict(line) != stored(line) for line in lines))
    scores = check_arms(report, answers, stored if trust else verdict, checker)
    if all(found.keys() == asked.keys() for found in scores.values()):  # else said above, and nothing can be paired
        check_differences(report, scores, checker)
        check_gap(report, scores, checker)
    print(f"{checker.wrong} differ" if checker.wrong else "all agree")
    return 1 if checker.wrong else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--trust-passed", action="store_true")
    given = parser.parse_args()
    sys.exit(main(given.run, trust=given.trust_passed))
