"""Puzzles: examples/check_solutions.py says what the verifier of `countdown` says, by other means."""

import re
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from second_opinion import RIGHT, WRONG, accepted, verdict  # isort: skip - a helper beside the tests

SIX = {"numbers": [3, 2], "target": 6}
THIRTEEN = {"numbers": [2, 3, 7], "target": 13}
NINE = {"numbers": [3, 3], "target": 9}
BELOW_ZERO = {"numbers": [2, 5], "target": -3}
ONE_TWO_THREE = {"numbers": [1, 2, 3], "target": 6}
HALVES = {"numbers": [3, 2], "target": "3/2"}
SOLVED: list[tuple[dict[str, Any], str]] = [
    (THIRTEEN, "7 + 2 * 3"),
    (THIRTEEN, "(2 \u00d7 3) + 7 = 13"),
    (THIRTEEN, "13 = 2*3 + 7"),
    (THIRTEEN, "\\left(2 \\cdot 3\\right) + 7"),
    ({"numbers": "2, 3, 7", "target": "13"}, "2 * 3 + 7"),
    ({"numbers": [2.0, 3.0, 7.0], "target": 13.0}, "2 * 3 + 7"),
    (SIX, "$3 \\times 2$"),
    (SIX, "**3 \u00b7 2**."),
    (SIX, "\\(3*2\\)"),
    (SIX, "03 * 2"),
    (SIX, "-(-3) * +2"),
    (SIX, "(" * 40 + "3 * 2" + ")" * 40),
    (SIX, "3 * 2" + " " * 400),
    (NINE, "3 * 3 = 9"),
    ({"numbers": [6], "target": 6}, "6 = 6"),
    (BELOW_ZERO, "2 \u2212 5"),
    (BELOW_ZERO, "-(5 - 2) = -3"),
    (HALVES, "\\frac{3}{2}"),
    (HALVES, "3 \u00f7 2 = 3/2"),
    (HALVES, "\\frac{3}{2} = \\dfrac{3}{2}"),
    (SIX, "3*2 = (6)"),
    (SIX, "{3} \\ast {2}"),
    (SIX, "3\\,\\cdot\\;2 \\quad = 6"),
    (SIX, "3\u00a0* 2"),
    (ONE_TWO_THREE, "\\frac{3}{\\frac{1}{2}}"),
    (ONE_TWO_THREE, "6 = \\frac{3}{{1} \\div {2}}"),
    ({"numbers": [1, 2, 3, 4], "target": "8/3"}, "\\frac{1}{\\frac{\\frac{3}{2}}{4}}"),
]
NOT_SOLVED: list[tuple[dict[str, Any], str]] = [
    *((SIX, text) for text in ("", " ", "none", "6", "6 = 6", "=6", "3*2=", "3*2==6", "3 2", "3(2)", "(3)(2)")),
    *((SIX, text) for text in ("3*2 = 5", "5 = 3*2", "3*2 = 6 = 6", "3*2 = 6.0", "3*2 = six", "3*2 \\approx 6")),
    *((SIX, text) for text in ("3*2, 2*3", "3*2 or 2*3", "3*2\n2*3", "3*2; 6", "3*2 = 6, done", "So 3*2")),
    *((SIX, text) for text in ("3+3", "3*2*2/2", "3*2*1", "3*2+0", "2*3/1", "1.5*4", "3+2")),
    *((SIX, text) for text in ("3/0", "3/(2-2)", "3 * 2 / (2 - 2)", "9^9^9^9", "3**2", "3^2", "3!", "6!")),
    *((SIX, text) for text in ("(3*2", "3*2)", "[3*2]", "`3*2`", "3x2", "\uff13*2", "3*2 # right", "__import__('os')")),
    (SIX, "(" * 300 + "3*2" + ")" * 300),
    (SIX, "2*3" + "+0" * 400),
    (SIX, "9" * 3_000 + "*2"),
    (NINE, "3 * 3 * 3 / 3"),
    (BELOW_ZERO, "5 - 2"),
    (BELOW_ZERO, "2 - 5 = 3"),
    (HALVES, "2 / 3"),
    (HALVES, "3 / 2 = 1"),
    (HALVES, "3 / 2 = 6 / 4"),
    *((SIX, text) for text in ("3*2 = 12/2", "3*2 = 2*3", "12/2 = 3*2", "3*2 = 6*1", "3*2 = 6/1", "3*2 = 7-1")),
    *(
        (SIX, text)
        for text in ("\\frac{3}*2", "\\frac 3 2", "\\frac{3*2}", "\\frac{6}{0}", "\\frac", "{3*2)", "\\fraction{3}{2}")
    ),
]
WHOLE = [
    ("3*2", RIGHT),
    ("I try.\nSolution: 3 * 2 = 6", RIGHT),
    ("So \\boxed{3 \\cdot 2}.", RIGHT),
    ("<answer>3+2</answer> No: <answer>3*2</answer>", RIGHT),
    ("<answer>3*2</answer></answer>", RIGHT),
    ("<answer><answer>3*2</answer></answer>", RIGHT),
    ("<answer>3*2</answer> <answer>", RIGHT),
    ("</answer> <answer>3*2</answer> </answer> or 3+2", RIGHT),
    ("<answer>3*2</answer> <answer></answer>", WRONG),
    ("</answer>3*2", WRONG),
    ("<answer>3*2</answer>, and that is all.", RIGHT),
    ("<answer>3*2</answer> No: <answer>3+2</answer>", WRONG),
    ("\\boxed{3*2} <answer>3+2</answer>", WRONG),
    ("3*2\nThat is 6.", WRONG),
    ("<answer>3*2", WRONG),
    ("<answer>" * 20_000, WRONG),
    ("", WRONG),
]


@pytest.mark.parametrize(("seed", "expression"), SOLVED)
def test_a_solved_puzzle_is_right(seed: dict[str, Any], expression: str) -> None:
    answer = f"I try some.\n<answer>{expression}</answer>"
    assert (verdict(answer, seed), accepted(answer, seed)) == (RIGHT, True)


@pytest.mark.parametrize(("seed", "expression"), NOT_SOLVED)
def test_a_puzzle_that_is_not_solved_is_wrong(seed: dict[str, Any], expression: str) -> None:
    answer = f"I try some.\n<answer>{expression}</answer>"
    assert (verdict(answer, seed), accepted(answer, seed)) == (WRONG, False)


@pytest.mark.parametrize(("answer", "expected"), WHOLE)
def test_a_puzzles_answer_is_looked_for_in_the_same_places(answer: str, expected: str) -> None:
    assert (verdict(answer, SIX), accepted(answer, SIX)) == (expected, expected == RIGHT)


Made = tuple[str, Fraction | None]
"""An expression and its value; None where it divides by zero."""


def joined(parts: tuple[Made, str, Made]) -> Made:
    (left, one), sign, (right, other) = parts
    text = f"({left} {sign} {right})"
    if one is None or other is None or (sign == "/" and not other):
        return text, None
    return text, {"+": one + other, "-": one - other, "*": one * other}.get(sign, one / (other or 1))


EXPRESSIONS = st.recursive(
    st.integers(0, 12).map(lambda number: (str(number), Fraction(number))),
    lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(joined),
    max_leaves=5,
)


@given(EXPRESSIONS, st.lists(st.integers(0, 12), min_size=1, max_size=3), st.integers(-1, 1))
def test_script_and_verifier_agree_on_any_expression(made: Made, others: list[int], beside: int) -> None:
    text, value = made
    own = [int(number) for number in re.findall(r"\d+", text)]
    target = (value or 0) + beside
    for numbers in (own, others, own + others):
        for answer in (f"<answer>{text}</answer>", f"<answer>{text} = {target}</answer>"):
            seed = {"numbers": numbers, "target": str(target)}
            right = value == target and sorted(numbers) == sorted(own)
            assert verdict(answer, seed) == (RIGHT if right else WRONG)
            assert accepted(answer, seed) is right


def in_latex(text: str) -> str:
    """Each division as a fraction, from the innermost brackets on."""
    while (simpler := re.sub(r"\(([^()]*) / ([^()]*)\)", r"\\frac{\1}{\2}", text, count=1)) != text:
        text = simpler
    return text


@given(EXPRESSIONS, EXPRESSIONS)
def test_they_agree_on_fractions_of_fractions_and_on_two_expressions(made: Made, other: Made) -> None:
    text, value = made
    seed = {"numbers": [int(number) for number in re.findall(r"\d+", text)], "target": str(value or 0)}
    for answer in (in_latex(text), f"{text} = {other[0]}", f"{other[0]} = {in_latex(text)}", f"{text} = {text}"):
        right = verdict(f"<answer>{answer}</answer>", seed)
        assert (right == RIGHT) is accepted(f"<answer>{answer}</answer>", seed)
        if "=" not in answer:
            assert (right == RIGHT) is (value is not None)
