"""The recipe reasoning: the seeds' results, which samples are right, and what becomes of the thinking."""

import json
from fractions import Fraction
from itertools import combinations, permutations, product
from math import factorial, perm
from pathlib import Path
from statistics import mean, median
from typing import Any

import pytest
import sympy
import yaml

from harvester.starting import recipes
from harvester.verify import build, resolve

from provider import completion  # isort: skip - a helper beside the tests

DICE = list(product(range(1, 7), repeat=2))
COINS = list(product("HT", repeat=4))
THREE = list(product("HT", repeat=3))
URN = list(permutations("RRRBBBBB", 2))
X = sympy.Symbol("x")
WORKED_OUT: dict[str, list[Any]] = {
    "train": [
        14 * 24 - 289,
        sum(range(1, 41)),
        Fraction(65, 10) * 340 / 100,
        Fraction(53 - 2 * 4, 3),
        (24 * 60 - (22 * 60 + 47)) + (6 * 60 + 12),
        Fraction(48) / (Fraction(24, 16) + Fraction(24, 24)),
        1 / (Fraction(1, 6) + Fraction(1, 3)),
        Fraction(3, 4) + Fraction(5, 6) - Fraction(1, 3),
        Fraction(50, 60),
        150 / (Fraction(2, 3) - Fraction(1, 2)),
        100 - 100 * Fraction(12, 10) * Fraction(8, 10),
        Fraction(25 - 11, 25) * 100,
        84 / Fraction(7, 10),
        1000 * Fraction(105, 100) ** 2,
        sympy.solve(5 * X - 7 - (3 * X + 15), X)[0],
        Fraction(30 + 8, 2),
        max(sympy.solve(X**2 - 5 * X + 6, X)),
        2,
        sympy.solve(4 * X + 20 - 2 * (X + 20), X)[0],
        5**2 - 2,
        2 * (2**2 + 1) - 3,
        sympy.solve(2 ** (X + 1) - 64, X)[0],
        sympy.sqrt(9**2 + 12**2),
        Fraction(180 * 4, 2 + 3 + 4),
        sympy.sqrt(Fraction(150, 6)) ** 3,
        sympy.pi * 5**2,
        Fraction(360, 24),
        sympy.sqrt(5**2 + 5**2),
        Fraction(sum(sum(pair) == 9 for pair in DICE), len(DICE)),
        Fraction(sum(pair == ("R", "R") for pair in URN), len(URN)),
        Fraction(sum("H" in throws for throws in COINS), len(COINS)),
        Fraction(sum(map(max, DICE)), len(DICE)),
        factorial(5),
        sum(number // 10 != number % 10 for number in range(10, 100)),
        len(list(combinations(range(8), 3))),
        len(set(permutations("LEVEL"))),
        pow(7, 100, 5),
        next(number for number in range(2, 1000) if {number % 4, number % 5, number % 6} == {1}),
        len(str(factorial(25))) - len(str(factorial(25)).rstrip("0")),
        max(sympy.primefactors(1001)),
        35 + (35 - 24) + 2,
        Fraction(43 - 7, 9),
        5 * 12 - (8 + 11 + 14 + 15),
        median([7, 3, 9, 12, 5, 8]),
        sympy.diff(X**3 - 4 * X, X).subs(X, 2),
        sympy.Rational(10, 2) ** 2,
    ],
    "heldout": [
        375 % 16,
        Fraction(3 * 80 + 60, 4),
        Fraction(2, 3) / Fraction(4, 9) + Fraction(1, 6),
        80 * Fraction(125, 100) * Fraction(90, 100),
        sympy.solve(7 - 2 * (X - 3) - (3 * X - 12), X)[0],
        sympy.prod(sympy.solve(2 * X**2 - 7 * X + 3, X)),
        sympy.sqrt(5**2 + 12**2),
        sympy.pi * 3**2 * 7 / 3,
        Fraction(sum(throws.count("H") == 2 for throws in THREE), len(THREE)),
        perm(9, 2),
        2**20 % 7,
        sum(5 * 2**place for place in range(8)),
        mean(range(1, 20, 2)),
        sympy.diff(X**2 - 3 * X, X).subs(X, 4),
    ],
}
"""What each question comes to, worked out again in the order of the file."""


def seeds(name: str) -> list[dict[str, str]]:
    text = (recipes()["reasoning"] / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("name", list(WORKED_OUT))
def test_every_result_is_right(name: str) -> None:
    read = (
        sympy.sympify(seed["result"].replace("\\sqrt{2}", "*sqrt(2)").replace("\\pi", "*pi")) for seed in seeds(name)
    )
    for seed, found, worked_out in zip(seeds(name), read, WORKED_OUT[name], strict=True):
        assert sympy.simplify(found - sympy.nsimplify(worked_out)) == 0, seed


@pytest.mark.parametrize("name", list(WORKED_OUT))
def test_every_result_is_one_that_the_verifier_can_read(name: str) -> None:
    rules = resolve({"math": {"expected": "result"}}, Path())
    (verify,) = build(rules)
    for seed in seeds(name):
        assert verify(f"So it is \\boxed{{{seed['result']}}}.", seed).passed, seed
        assert not verify("So it is \\boxed{987654321}.", seed).passed


def test_no_question_is_in_both_files() -> None:
    texts = [seed["question"] for name in WORKED_OUT for seed in seeds(name)]
    assert len(set(texts)) == len(texts)


SAID = {
    "A baker": [
        "<think>14 · 24 = 326.</think>\n\\boxed{37}",
        "<think>14 · 24 = 336.</think>\n336 - 289 = 47. \\boxed{47}",
        "14 · 24 - 289 is \\boxed{47.0}",
        "I cannot tell.",
    ],
    "sum of all": ["\\boxed{\\frac{1640}{2}}", "820", "\\boxed{820}", "\\boxed{820}"],
    "6.5 litres": ["\\boxed{22.1}, or rather \\boxed{22.5}", "\\boxed{221}", "\\boxed{}", "It takes 221 litres."],
}


def solve(body: dict[str, Any]) -> str:
    question = body["messages"][-1]["content"]
    return next((said[body["seed"]] for words, said in SAID.items() if words in question), "I cannot tell.")


def test_the_first_right_sample_is_kept_with_its_thinking(shipped: Any, provider: Any) -> None:
    recipe = shipped("reasoning", provider=provider)
    recipe.answers(solve=solve)
    assert recipe.collect().failed == 0
    assert recipe.collect().answered == 0
    assert recipe.export().dropped == {"verify:math": 6, "not_selected": 4}
    rows = recipe.rows()
    assert [(row["sample"], row["reasoning"]) for row in rows] == [(1, "14 · 24 = 336."), (0, None)]
    assert [row["messages"] for row in rows] == [
        [
            {"role": "user", "content": json.loads(row["seed"])["question"]},
            {"role": "assistant", "content": answer},
        ]
        for row, answer in zip(rows, ["336 - 289 = 47. \\boxed{47}", "\\boxed{\\frac{1640}{2}}"], strict=True)
    ]
    assert {check["name"]: check["passed"] for row in rows for check in row["checks"]} == {"math": True}
    assert [json.loads(row["seed"])["result"] for row in rows] == ["47", "820"]


def test_held_out_questions_keep_every_answer_with_what_is_wrong_in_it(shipped: Any, provider: Any) -> None:
    recipe = shipped("reasoning", provider=provider, limit=1)
    said = ["\\boxed{23}", "375 - 23 \\cdot 16 = \\boxed{7}", "\\boxed{7 \\text{ apples}}", "I cannot tell."]
    recipe.answers(solve=lambda body: said[body["seed"]])
    recipe.collect()
    recipe.export()
    rows = recipe.rows(split="test")
    assert [(row["accepted"], row["drop_reason"]) for row in rows] == [
        (False, "verify:math"),
        (True, None),
        (True, "not_selected"),
        (False, "verify:math"),
    ]
    assert [row["messages"][-1]["content"] for row in rows] == said
    assert {row["reference"] for row in rows} == {None}
    assert recipe.rows() == []


def test_thinking_that_comes_in_a_field_of_its_own_is_kept_likewise(shipped: Any, provider: Any) -> None:
    reply = json.loads(completion("So it is \\boxed{47}."))
    reply["choices"][0]["message"]["reasoning_content"] = "First the trays."
    provider.script = lambda _body, _before: (200, {}, json.dumps(reply).encode())
    recipe = shipped("reasoning", provider=provider, limit=1)
    recipe.collect()
    recipe.export()
    (row,) = recipe.rows()
    assert (row["reasoning"], row["messages"][-1]["content"]) == ("First the trays.", "So it is \\boxed{47}.")


def test_thinking_that_was_cut_off_is_no_answer(shipped: Any, provider: Any) -> None:
    provider.script = lambda _body, _before: (200, {}, completion("<think>It is 47", finish_reason="length"))
    recipe = shipped("reasoning", provider=provider, limit=1)
    recipe.collect()
    assert recipe.export().dropped == {"length": 4}


def test_nobody_is_shown_the_result(shipped: Any, provider: Any) -> None:
    recipe = shipped("reasoning", provider=provider, limit=1)
    seed = {"question": "What comes after 3?", "result": "987654321", "field": "counting"}
    (recipe.path / "train.jsonl").write_text(json.dumps(seed), encoding="utf-8")
    recipe.answers(solve=lambda _: "\\boxed{987654321}")
    recipe.collect()
    recipe.export()
    assert "987654321" not in json.dumps(provider.asked)
    (row,) = recipe.rows()
    assert [message["content"] for message in row["messages"]] == ["What comes after 3?", "\\boxed{987654321}"]


def test_without_results_the_majority_decides_as_the_readme_says(shipped: Any, provider: Any) -> None:
    recipe = shipped("reasoning", provider=provider, limit=1)
    path = recipe.path / "recipe.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    del data["steps"][0]["verify"]
    data["steps"][0] |= {"select": "majority", "vote_by": "boxed"}
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    (recipe.path / "train.jsonl").write_text('{"question": "A baker bakes. How many?"}', encoding="utf-8")
    recipe.answers(solve=lambda body: ["\\boxed{3}", "It is \\boxed{ 4 }", "\\boxed{4}", "no box"][body["seed"]])
    recipe.collect()
    assert recipe.export().dropped == {"no_vote": 1, "not_selected": 2}
    assert [row["sample"] for row in recipe.rows()] == [1]
