"""Recomputes every score and interval of RUN/report.json from RUN/answers/*.jsonl.

It shares no code with finetune: the verdicts and the intervals are written anew, with the standard library only. Exit
code 1 where anything differs, 2 where RUN is not an evaluated run.

    python examples/recompute_scores.py runs/extract-orders/student

With --trust-passed the stored verdicts are taken as they are, and only the arithmetic is checked.
"""

import argparse
import json
import math
import statistics
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

Z = 1.959963984540054
FEWEST = 6
"""Prompts that a difference's interval and a gap need."""
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


def around(values: list[float], made_up: dict[float, float]) -> list[float]:
    """95 % interval of a mean, after made-up values (value: how many of it) joined the real ones."""
    n = len(values) + sum(made_up.values())
    middle = math.fsum([*values, *(value * times for value, times in made_up.items())]) / n
    spread = math.fsum((value - middle) ** 2 for value in values)
    spread += math.fsum(times * (value - middle) ** 2 for value, times in made_up.items())
    half = Z * math.sqrt(spread / n / n)
    return [middle - half, middle + half]


def interval(scores: Scores) -> list[float]:
    """Of the mean score: Wilson's; Agresti and Coull's, with Z² made-up prompts, where some count in fractions."""
    if all(score in (0, 1) for score in scores.values()):
        return wilson(round(sum(scores.values())), len(scores))
    low, high = around(list(scores.values()), {0.0: Z * Z / 2, 1.0: Z * Z / 2})
    return [max(low, 0.0), min(high, 1.0)]


def difference(apart: list[float]) -> list[float] | None:
    """Of a mean difference, paired by prompt: Bonett and Price's, with one prompt more for each side."""
    if len(apart) < FEWEST:
        return None
    low, high = around(apart, {1.0: 1, -1.0: 1})
    return [max(low, -1.0), min(high, 1.0)]


def ratio(gain: list[float], lead: list[float]) -> list[float]:
    """Fieller's interval of mean gain / mean lead, found by trying ratios: those that the prompts do not rule out.

    The made-up prompts are those of `difference`: student and base are apart by one, so are teacher and base, and so
    are student and teacher. No one prompt is that, so their sums stand here: squares 2, 2 and products 1.
    """
    n = len(gain) + 2

    def possible(share: float) -> bool:
        left = [one - share * other for one, other in zip(gain, lead, strict=True)]
        squares = math.fsum(value * value for value in left) + 2 - 2 * share + 2 * share * share
        middle = math.fsum(left) / n
        return middle * middle <= Z * Z * (squares / n - middle * middle) / n

    found = statistics.fmean(gain) / statistics.fmean(lead)
    ends = []
    for side in (-1.0, 1.0):
        inside, step = found, side
        while possible(inside + step):
            inside, step = inside + step, 2 * step
        outside = inside + step
        for _ in range(200):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if possible(middle) else (inside, middle)
        ends.append(inside)
    return ends


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
        # Equal first: nothing is, and has no difference.
        good = all(one == other or (None not in (one, other) and abs(one - other) <= within) for one, other in pairs)
        self.wrong += not good
        print(f"{'OK     ' if good else 'DIFFERS'} {name}: report {shown(said)}, here {shown(found)}")


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
    checker.check(f"{title}: interval", said["interval"], interval(found))


def check_differences(report: dict[str, Any], scores: dict[str, Scores], checker: Checker) -> None:
    """Paired differences between arms."""
    for said in report["differences"]:
        one, other = scores[said["arm"]], scores[said["than"]]
        title = f"{said['arm']} - {said['than']}"
        checker.check(f"{title}: difference", said["value"], mean(one) - mean(other))
        checker.check(f"{title}: interval", said["interval"], difference([one[seed] - other[seed] for seed in one]))


def check_gap(report: dict[str, Any], scores: dict[str, Scores], checker: Checker) -> None:
    """The share of the lead of the teacher over the base that the student has, or its refusal."""
    base, teacher, student = scores["base"], scores["teacher"], scores["student"]
    lead = [teacher[seed] - base[seed] for seed in base]
    gain = [student[seed] - base[seed] for seed in base]
    ends, said = difference(lead), report["gap_recovered"]
    given = ends is not None and ends[0] > 0
    checker.check("gap recovered: given", said["value"] is not None, given)
    if given and said["value"] is not None:
        checker.check("gap recovered: value", said["value"], statistics.fmean(gain) / statistics.fmean(lead))
        checker.check("gap recovered: interval", said["interval"], ratio(gain, lead), within=1e-6)


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


def run_or_say(run: Path, *, trust: bool) -> int:
    """As `main`; what cannot be read is one line and exit code 2."""
    try:
        return main(run, trust=trust)
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        problem = f"{run}: report.json or answers/ is damaged ({type(error).__name__}: {error})"
    print(f"{problem}; run `finetune evaluate {run}` first", file=sys.stderr)
    return 2


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--trust-passed", action="store_true")
    given = parser.parse_args()
    sys.exit(run_or_say(given.run, trust=given.trust_passed))
