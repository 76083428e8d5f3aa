"""Relations and parts of values: neither examples/check_solutions.py nor the verifier of `reasoning` takes them."""

import pytest

from second_opinion import RIGHT, UNREADABLE, accepted, verdict  # isort: skip - a helper beside the tests

NO_VALUES = [
    r"\leq 2",
    r"x \geq 2",
    "\u2264 2",
    "< 2",
    "x > 2",
    r"\neq 2",
    r"\not= 2",
    r"x \ll 2",
    r"2 \leq",
    "x <= 2",
    "x != 2",
]
SENTENCES_WITHOUT_IT = [
    ("The area is 25\u03c0.", "25"),
    ("25pi", "25"),
    ("5\u221a2", "5"),
    ("It is x \u2265 2.", "2"),
    ("x > 2", "2"),
    ("48 = 47", "47"),
    ("Rolls: 48 = 47", "47"),
    ("$48 = 47$", "47"),
    ("336 - 289 = 48", "48"),
]


def both(answer: str, result: str) -> tuple[str | None, bool]:
    return verdict(answer, {"result": result}), accepted(answer, {"result": result})


def test_units_count_for_the_verifier_only() -> None:
    assert both("\\boxed{900 L}", "900") == (RIGHT, True)
    assert both("\\boxed{900 L}", "900 ml") == (RIGHT, False)


@pytest.mark.parametrize("written", NO_VALUES)
def test_a_relation_is_no_value(written: str) -> None:
    assert both(f"\\boxed{{{written}}}", "2") == (UNREADABLE, False)


@pytest.mark.parametrize(("sentence", "result"), SENTENCES_WITHOUT_IT)
def test_a_number_that_is_part_of_the_value_is_not_it(sentence: str, result: str) -> None:
    judgement, taken = both(sentence, result)
    assert judgement != RIGHT
    assert not taken
