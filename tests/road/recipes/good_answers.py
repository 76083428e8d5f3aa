"""Answers that each recipe takes, by step: what a perfect teacher would say to a request."""

import json
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import combinations
from typing import Any

from harvester.starting import recipes

Body = dict[str, Any]
Part = tuple[Fraction, str]


def said(body: Body) -> str:
    return str(body["messages"][-1]["content"])


def grade(score: int) -> Callable[[Body], str]:
    return lambda _: json.dumps({"reason": "as it should be", "score": score})


def solution(numbers: list[int], target: int) -> str | None:
    """By joining any two parts in every way until one is left: finds a solution wherever there is one."""
    found = (text for value, text in _joined([(Fraction(one), str(one)) for one in numbers]) if value == target)
    return next(found, None)


def _joined(parts: list[Part]) -> Iterator[Part]:
    if len(parts) == 1:
        yield parts[0]
    for one, other in combinations(range(len(parts)), 2):
        others = [part for place, part in enumerate(parts) if place not in (one, other)]
        for joined in (*_ways(parts[one], parts[other]), *_ways(parts[other], parts[one])):
            yield from _joined([joined, *others])


def _ways(left: Part, right: Part) -> Iterator[Part]:
    (a, x), (b, y) = left, right
    yield a + b, f"({x} + {y})"
    yield a - b, f"({x} - {y})"
    yield a * b, f"({x} * {y})"
    if b:
        yield a / b, f"({x} / {y})"


def solve_puzzle(body: Body) -> str:
    *numbers, target = map(int, re.findall(r"\d+", said(body)))
    return f"I try some.\n<answer>{solution(numbers, target)}</answer>"


def quote_passage(body: Body) -> str:
    """The first words of the passage's last line."""
    passage = said(body).partition("\n\nQuestion: ")[0]
    return 'It says "{}".'.format(" ".join(passage.splitlines()[-1].split()[:5]))


def results() -> dict[str, str]:
    """By question."""
    texts = [(recipes()["reasoning"] / name).read_text(encoding="utf-8") for name in ("train.jsonl", "heldout.jsonl")]
    seeds = [json.loads(line) for text in texts for line in text.splitlines()]
    return {seed["question"]: seed["result"] for seed in seeds}


RESULTS = results()
PALINDROME = """```python
def NAME(text):
    kept = [letter for letter in text.lower() if letter.isalnum()]
    return kept == kept[::-1]
```"""
LONG = "This is a whole answer of more than a few words."
GOOD: dict[str, dict[str, Callable[[Body], str]]] = {
    "instruct": {"answer": lambda _: LONG, "grade": grade(5)},
    "self-instruct": {
        "invent": lambda _: json.dumps({"tasks": [{"task": f"Do a new thing, number {n}."} for n in range(3)]}),
        "answer": lambda body: "Done: " + said(body),
        "grade": grade(4),
    },
    "evol-instruct": {
        "evolve": lambda body: "Explain this to somebody who knows nothing: " + said(body).splitlines()[1],
        "check": grade(4),
        "answer": lambda _: LONG,
    },
    "classify": {"label": lambda _: "billing"},
    "preference": {
        "answer": lambda body: f"An answer of quality {body['seed'] + 1}.",
        "grade": lambda body: json.dumps({"reason": "", "score": int(re.findall(r"quality (\d)", said(body))[-1])}),
    },
    "reasoning": {
        "solve": lambda body: f"<think>Let me see.</think>It is \\boxed{{{RESULTS[said(body).splitlines()[0]]}}}."
    },
    "countdown": {"solve": solve_puzzle},
    "code": {"write": lambda body: PALINDROME.replace("NAME", re.findall(r"`(\w+)`", said(body))[0])},
    "translate-ar": {"translate": lambda _: "يفتح المخبز في السادسة صباحًا.", "compare": grade(5)},
    "doc-qa": {
        "ask": lambda _: json.dumps({"questions": [{"question": f"What does it say, {n}?"} for n in "ab"]}),
        "answer": quote_passage,
    },
}
"""The steps of each recipe in their order, and what is said at each."""
