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
