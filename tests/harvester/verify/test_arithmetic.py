r"""arithmetic: countdown puzzles, judged exactly."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.records import Check
from harvester.verify.arithmetic import expression_in
from harvester.verify.base import Failed
from harvester.verify.expressions import evaluate

Judged = Callable[..., Check]
SETTINGS = {"numbers": "nums", "target": "target"}
SEED = {"nums": [44, 19, 35], "target": 98}


@pytest.mark.parametrize(
    "answer",
    [
        "<think>44 + 19 = 63</think>\n<answer>44 + 19 + 35</answer>",
        "<answer>1 + 1</answer> no: <answer> (44+19)+35 </answer>",
        "<answer>44 + 19 + 35 = 98</answer>",
        "<answer>98 = 44 + 19 + 35</answer>",
        r"So \boxed{44 + 19 + 35}.",
        r"\boxed{35+19+44=98}",
        "We add them.\n\n**44 + 19 + 35 = 98**",
        "Answer: 44 + 19 + 35",
        "$44 + 19 + 35$.",
        r"\(44 + \left(19 + 35\right)\)",
        "44 \u2212 (\u221219) + 35",
    ],
)
def test_the_final_expression_is_found_and_computed(judged: Judged, answer: str) -> None:
    assert judged("arithmetic", SETTINGS, answer, SEED).reason is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("<answer>44 + 19</answer>", "is 63, not 98"),
        ("<answer>98</answer>", "none of the given numbers"),
        ("<answer>44 + 54</answer>", "uses 54"),
        ("<answer>44 + 19 + 35 + 44 - 44</answer>", "exactly once"),
        ("<answer>44 + 19 + 35 = 99</answer>", "is 99"),
        ("<answer>44 + 19 = 63 = 63 + 35</answer>", "more than one equals sign"),
        ("<answer>44 + 19 + 35) + (0</answer>", "where an operator should be"),
        ("<answer>(44 + 19 + 35</answer>", "not closed"),
        ("<answer>44 + 19 + 35 +</answer>", "not complete"),
        ("<answer>44 / (19 - 19)</answer>", "divides by zero"),
        ("<answer>44 ** 19</answer>", "where a number should be"),
        ("<answer>__import__('os')</answer>", "not an expression"),
        ("<answer></answer>", "there is no expression"),
        ("", "there is no expression"),
        ("I could not find one", "not an expression"),
        ("<answer>44 + 19 + 35</answer>\nbut \u0664\u0664", None),
        ("\u0664\u0664 + 19 + 35", "not an expression"),
        (f"<answer>{'(' * 200}44{')' * 200}</answer>", "nested more than 50 deep"),
        (f"<answer>{'-' * 200}44</answer>", "nested more than 50 deep"),
        (f"<answer>44{' ' * 2000}</answer>", "is 44"),
        (f"<answer>{'44+' * 500}19</answer>", "longer than 1,000"),
        (f"<answer>{'9' * 50}</answer>", "more than 20 digits"),
        (f"<answer>{'*'.join(['9' * 20] * 40)}</answer>", "is another number, not 98"),
    ],
)
def test_what_is_not_the_target_made_of_the_numbers_fails_and_says_why(
    judged: Judged, answer: str, reason: str | None
) -> None:
    check = judged("arithmetic", SETTINGS, answer, SEED)
    assert (check.reason is None) if reason is None else (reason in str(check.reason))


def test_division_is_exact(judged: Judged) -> None:
    seed = {"nums": [8, 3, 8, 3], "target": 24}
    assert judged("arithmetic", SETTINGS, "8 / (3 - 8/3)", seed).passed
    assert judged("arithmetic", SETTINGS, r"\boxed{8 \div (3 - \frac{8}{3})}", seed).passed
    assert not judged("arithmetic", SETTINGS, "1/3 + 1/3", {"nums": [1, 1, 3, 3], "target": 0.66666666667}).passed


def test_each_number_once_can_be_waived(judged: Judged) -> None:
    loose = {**SETTINGS, "each_once": False}
    assert judged("arithmetic", loose, "44 + 44 + 35 - 35", {**SEED, "target": 88}).passed
    assert not judged("arithmetic", loose, "44 + 44", {**SEED, "target": 88, "nums": [40, 4]}).passed


@pytest.mark.parametrize(
    "seed",
    [
        {"nums": "44, 19, 35", "target": "98"},
        {"nums": ["44", 19, 35.0], "target": 98.0},
        {"nums": [44, 19, 35], "target": "196/2"},
    ],
)
def test_seeds_from_tables_may_hold_numbers_as_text(judged: Judged, seed: dict[str, Any]) -> None:
    assert judged("arithmetic", SETTINGS, "44+19+35", seed).passed


@pytest.mark.parametrize(
    "seed",
    [
        {},
        {"nums": [], "target": 1},
        {"nums": [True], "target": 1},
        {"nums": [1.5], "target": 1},
        {"nums": {"a": 1}, "target": 1},
        {"nums": [1], "target": None},
        {"nums": [1], "target": "1/0"},
        {"nums": [1], "target": "one"},
        {"nums": [1], "target": True},
    ],
)
def test_a_seed_that_makes_no_puzzle_is_said_so(judged: Judged, seed: dict[str, Any]) -> None:
    assert "the seed's field" in str(judged("arithmetic", SETTINGS, "1", seed).reason)


TREES: st.SearchStrategy[Any] = st.recursive(
    st.integers(0, 99), lambda inner: st.tuples(st.sampled_from("+-*/"), inner, inner), max_leaves=8
)


def written(tree: Any) -> str:
    return str(tree) if isinstance(tree, int) else f"({written(tree[1])} {tree[0]} {written(tree[2])})"


def value(tree: Any) -> Fraction:
    if isinstance(tree, int):
        return Fraction(tree)
    left, right = value(tree[1]), value(tree[2])
    return {"+": left + right, "-": left - right, "*": left * right, "/": left / right if right else Fraction(-1)}[
        tree[0]
    ]


def divides_by_zero(tree: Any) -> bool:
    if isinstance(tree, int):
        return False
    return divides_by_zero(tree[1]) or divides_by_zero(tree[2]) or (tree[0] == "/" and value(tree[2]) == 0)


@given(TREES)
def test_every_tree_has_the_value_that_fractions_give_it(tree: Any) -> None:
    if divides_by_zero(tree):
        with pytest.raises(Failed, match="divides by zero"):
            evaluate(written(tree))
    else:
        assert evaluate(written(tree))[0] == value(tree)


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from("+-*")), min_size=1, max_size=9))
def test_precedence_is_python_s(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{sign}" for number, sign in parts)[:-1]
    assert evaluate(text)[0] == eval(text)  # noqa: S307 - digits and three operators, written here


def test_the_place_of_the_expression_is_the_first_of_three() -> None:
    assert expression_in("<answer>1</answer> \\boxed{2}\n3") == "1"
    assert expression_in("\\boxed{2}\n3") == "2"
    assert expression_in("1\nresult: 3.\n\n") == "3"
    assert expression_in("</answer><answer>") == "</answer><answer>"
