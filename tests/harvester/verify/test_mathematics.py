r"""math: values, whichever way they are written."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harvester.records import Check

Judged = Callable[..., Check]


@pytest.mark.parametrize(
    ("answer", "expected", "passed"),
    [
        (r"so it is \boxed{\frac{2}{4}}", "1/2", True),
        (r"\boxed{0.5}", r"\frac{1}{2}", True),
        (r"first \boxed{3}, then \boxed{4}", "4", True),
        ("We get 3 + 4 = 7. The answer is 7.", 7, True),
        ("The answer is $\\sqrt{2}/2$.", r"\frac{1}{\sqrt{2}}", True),
        ("It costs $1,250.50.", 1250.5, True),
        ("#### 42", "6 * 7 = 42\n#### 42", True),
        (r"\boxed{x^2+1}", "1+x^2", True),
        (r"\boxed{(1, 2)}", "$(1, 2)$", True),
        (r"\boxed{7}", "8", False),
        (r"\boxed{7}", r"\boxed{7}", True),
        ("I do not know.", "8", False),
        ("", "8", False),
    ],
)
def test_the_final_value_is_compared(judged: Judged, answer: str, expected: Any, passed: bool) -> None:
    check = judged("math", {"expected": "solution"}, answer, {"solution": expected})
    assert check.passed is passed, check.reason


ALIKE = [
    (r"\boxed{x = 11}", "11"),
    (r"\boxed{11}", "x = 11"),
    (r"\boxed{\$120}", "120"),
    (r"\boxed{120 dollars}", r"\$120"),
    (r"It costs \$120.", "120"),
    (r"\boxed{USD 5}", "$5"),
    (r"\boxed{1\frac14}", "1.25"),
    (r"\boxed{1 1/4}", "5/4"),
    ("The answer is -1 1/4.", "-1.25"),
    (r"\boxed{5/4}", "1¼"),
    (r"\boxed{½}", "0.5"),
    (r"\boxed{50\%}", "0.5"),
    (r"\boxed{0.5}", "50%"),
    (r"\boxed{1,000}", "1000"),
    (r"\boxed{1{,}000}", "1000"),
    (r"\boxed{1\,000}", "1000"),
    (r"\boxed{1 000}", "1,000"),
    (r"\boxed{1.250,50}", "1250.5"),
    (r"\boxed{22,1}", "22.1"),
    (r"\boxed{3.0}", "3"),
    (r"\boxed{3e5}", "300000"),
    (r"\boxed{45^\circ}", "45"),
    (r"\boxed{45}", "45°"),
    ("\u22125", "-5"),
    (r"\boxed{" + "\u22125}", "-5"),
    ("The answer is \u20135.", "-5"),
    ("\u0627\u0644\u062c\u0648\u0627\u0628 \u0647\u0648 \u0664\u0662", "42"),
    (r"\boxed{" + "\u0663\u066b\u0665}", "3.5"),
    (r"\boxed{42}", "\u0664\u0662"),
    (r"\boxed{\pi/4}", "pi/4"),
    (r"\fbox{3}", "3"),
    (r"\boxed{1} and \boxed{2}", "2"),
    ("5", "The answer is $5$."),
]
DIFFERENT = [
    (r"\boxed{1} and \boxed{2}", "1"),
    (r"\boxed{y = 11}", "x = 11"),
    (r"\boxed{1 \frac14}", "1/4"),
    (r"\boxed{5\%}", "0.5"),
    (r"\boxed{1,000}", "1"),
    (r"\boxed{(1,2)}", "1.2"),
    ("pages 3\u20135", "-5"),
    (r"\boxed{0.333}", "1/3"),
]


@pytest.mark.parametrize(
    ("answer", "expected", "passed"), [*((*one, True) for one in ALIKE), *((*one, False) for one in DIFFERENT)]
)
def test_everyday_forms_are_read(judged: Judged, answer: str, expected: str, passed: bool) -> None:
    check = judged("math", {"expected": "solution"}, answer, {"solution": expected})
    assert check.passed is passed, check.reason


@pytest.mark.parametrize(
    "answer",
    [
        "22,1 million",
        "The answer is 22.1 million.",
        "**22.1** million people",
        "$22.1$ million",
        "22.1M",
        "$22.1bn",
        "2,21 Mio.; 22.1 Milliarden",
        "22.1 \u0645\u0644\u064a\u0648\u0646",
        "22.1万",
        r"\boxed{22.1 million}",
        r"\boxed{22.1\text{ million}}",
        r"\boxed{\text{22.1 million}}",
        r"\boxed{22.1 \text{ hundredths}}",
    ],
)
def test_a_word_of_magnitude_makes_another_number(judged: Judged, answer: str) -> None:
    assert not judged("math", {"expected": "solution"}, answer, {"solution": "22.1"}).passed


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("22.1 million", "22100000"),
        (r"\boxed{22100000}", "22.1 million"),
        (r"\boxed{2 \times 10^6}", "2 million"),
        (r"\boxed{3\text{ hundred thousand}}", "300,000"),
        ("It costs $5k.", "5000"),
        ("5 dozen eggs", "60"),
    ],
)
def test_a_magnitude_is_multiplied(judged: Judged, answer: str, expected: str) -> None:
    check = judged("math", {"expected": "solution"}, answer, {"solution": expected})
    assert check.passed, check.reason


@pytest.mark.parametrize(
    ("answer", "expected", "passed"),
    [
        (r"\boxed{900 ml}", "900", True),
        (r"\boxed{900ml}", "900", True),
        (r"\boxed{900\,\mathrm{mL}}", "900 milliliters", True),
        (r"\boxed{900}", "900 ml", True),
        (r"\boxed{900 ml of water}", "900 ml", True),
        (r"\boxed{900 l}", "900 ml", False),
        (r"\boxed{12\text{ cm}^2}", "12", True),
        (r"\boxed{12\text{ cm}^2}", "12 square centimeters", True),
        (r"\boxed{12\text{ cm}^2}", r"12\text{ cm}^3", False),
        (r"\boxed{60 miles per hour}", "60 mph", True),
        (r"\boxed{60 miles}", "60 mph", False),
        (r"\boxed{7 apples}", "7 apple", True),
        (r"\boxed{7 apples}", "7 pears", False),
        (r"\boxed{50 cm}", "50%", False),
        (r"\boxed{120 euros}", "$120", False),
        (r"\boxed{45^\circ\text{C}}", "45 celsius", True),
        ("You need 900 ml of water.", "900 ml", True),
        ("You need 900 ml of water.", "900 l", False),
        ("She pays $120", "120 euros", False),
        ("It is $120$", "120 euros", True),
        (r"\boxed{5x}", "5", False),
        (r"\boxed{5 xy}", "5", False),
        (r"\boxed{5 - x}", "5", False),
        (r"\boxed{3x^2}", "3x^2", True),
        (r"\boxed{5!}", "5", False),
    ],
)
def test_units_may_be_left_out_and_must_not_differ(judged: Judged, answer: str, expected: str, passed: bool) -> None:
    check = judged("math", {"expected": "solution"}, answer, {"solution": expected})
    assert check.passed is passed, check.reason


def test_a_different_unit_is_named(judged: Judged) -> None:
    check = judged("math", {"expected": "solution"}, r"\boxed{900 l}", {"solution": "900 ml"})
    assert check.reason == "its unit is l, not ml"


@pytest.mark.parametrize("seed", [{}, {"solution": None}, {"solution": True}, {"solution": " "}, {"solution": [1]}])
def test_a_seed_without_a_value_is_said_so(judged: Judged, seed: dict[str, Any]) -> None:
    assert "no value in its field" in str(judged("math", {"expected": "solution"}, "7", seed).reason)


def test_a_formula_that_keeps_sympy_busy_fails_and_the_next_one_is_judged(judged: Judged) -> None:
    settings = {"expected": "solution", "timeout_s": 0.5}
    assert judged("math", settings, r"\boxed{9^{9^{9^{9^9}}}}", {"solution": 1}).reason == "takes more than 0.5 s"
    assert judged("math", {"expected": "solution"}, r"\boxed{1}", {"solution": 1}).passed


def test_it_can_be_called_from_threads(judged: Judged) -> None:
    def judge(number: int) -> bool:
        return judged("math", {"expected": "n"}, rf"\boxed{{{number}}}", {"n": number // 2 * 2}).passed

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(judge, range(12))) == [True, False] * 6
