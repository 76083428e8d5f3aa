r"""math: equations, relations and formulas as people write them."""

import re
import time
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harvester.records import Check
from harvester.verify import equations, everyday_formulas
from harvester.verify.everyday_numbers import plain
from harvester.verify.math_task import run

Judged = Callable[..., Check]

ALIKE = [
    (r"\boxed{x = 47}", "47"),
    (r"\boxed{2+45 = 47}", "47"),
    (r"\boxed{47 = 2 + 45 = n}", "47"),
    (r"\boxed{11=x}", "11"),
    (r"\boxed{11=x}", "x = 11"),
    (r"\boxed{x = 11}", "11 = x"),
    (r"\boxed{11 = \theta}", "11"),
    (r"\boxed{x := 11}", "11"),
    ("$11 = x$", "11"),
    ("So 11 = x.", "11"),
    ("336 - 289 = 47", "47"),
    ("Rolls left: 336 - 289 = 47.", "47"),
    ("x - 3 = 47", "47"),
    (r"\boxed{1/2 = 0.5}", "1/2"),
    (r"\boxed{50\% = 0.5}", "0.5"),
    (r"\boxed{45^\circ = \frac{\pi}{4}}", r"\frac{\pi}{4}"),
    (r"\boxed{1 \text{ hour} = 60 \text{ minutes}}", "60 minutes"),
    (r"\boxed{101_2 = 5}", "5"),
    (r"\boxed{\frac{161}{36} \approx 4.47}", "161/36"),
    (r"\boxed{\geq 2}", "≥2"),
    (r"\boxed{2 \leq x}", r"x \geq 2"),
    ("x > 2", "x>2"),
    (r"\boxed{25pi}", r"25\pi"),
    (r"\boxed{2πr}", r"2\pi r"),
    (r"\boxed{25π cm^2}", r"25\pi"),
    ("The area is 25π cm².", r"25\pi"),
    ("$25π$", "25 pi"),
    (r"\boxed{5√2}", r"5\sqrt{2}"),
    (r"\boxed{√(25+25)}", r"5\sqrt{2}"),
    ("The side is -5√2/2.", r"-\frac{5\sqrt{2}}{2}"),
    (r"\boxed{∛27}", "3"),
    (r"\boxed{5 \cdot 2^{0.5}}", r"5\sqrt{2}"),
    (r"\boxed{x = 5 \cdot 2^{0.5}}", r"5\sqrt{2}"),
    (r"\boxed{0.5\sqrt{2}}", r"\frac{\sqrt{2}}{2}"),
    (r"\boxed{47;}", "47"),
    ("\\boxed{47\\\\}", "47"),
    (r"\boxed{$47$.}", "47"),
    (r"\boxed{47 \text{ rolls}\,;}", "47"),
    (r"\boxed{0.\overline{1}}", "1/9"),
    (r"\boxed{-0.1\bar{6}}", "-1/6"),
    ("It is 0.(3).", "1/3"),
    (r"\boxed{1/3}", r"0.\dot{3}"),
]
DIFFERENT = [
    (r"\boxed{48 = 47}", "47"),
    (r"\boxed{x = 48 = 47}", "47"),
    (r"\boxed{x = 48 = 47}", "x = 47"),
    (r"\boxed{48 = 47 = x}", "47"),
    (r"\boxed{48 \text{ rolls} = 47 \text{ rolls}}", "47"),
    (r"\boxed{336 - 289 = 48}", "48"),
    ("48 = 47", "47"),
    ("**Rolls: 48 = 47**", "47"),
    ("$48 = 47$", "47"),
    (r"\[48 = 47\]", "47"),
    (r"\boxed{11 = y}", "x = 11"),
    (r"\boxed{\leq 2}", "2"),
    (r"\boxed{≤ 2}", "2"),
    (r"\boxed{< 2}", "2"),
    (r"\boxed{\neq 2}", "2"),
    (r"\boxed{\not= 2}", "2"),
    (r"\boxed{x \ll 2}", "2"),
    (r"$\leq 2$", "2"),
    ("It is x ≥ 2.", "2"),
    ("x>2", "2"),
    ("It is > 2", "2"),
    (r"\boxed{\geq 2}", r"\leq 2"),
    ("25pi", "25"),
    ("The area is 25π.", "25"),
    ("5√2", "5"),
    ("x + 5√2", r"5\sqrt{2}"),
    (r"\boxed{0.\overline{1}}", "0.1"),
    (r"\boxed{5 \cdot 2^{0.5}}", "7.07"),
]


@pytest.mark.parametrize(
    ("answer", "expected", "passed"), [*((*one, True) for one in ALIKE), *((*one, False) for one in DIFFERENT)]
)
def test_an_equation_is_its_value_if_it_has_one(judged: Judged, answer: str, expected: str, passed: bool) -> None:
    check = judged("math", {"expected": "solution"}, answer, {"solution": expected})
    assert check.passed is passed, check.reason


@pytest.mark.parametrize("answer", ["> 47", "**47**", "=> 47", "5 pints of 3 pigs, 47", "a -> 47"])
def test_signs_that_compare_nothing_are_left_out(answer: str) -> None:
    assert run(answer, "47") is None


def test_an_equation_of_different_numbers_is_shown(judged: Judged) -> None:
    check = judged("math", {"expected": "solution"}, r"\boxed{48 = 47}", {"solution": "47"})
    assert check.reason == "48 = 47 is an equation of different numbers"


@settings(max_examples=25)
@given(sides=st.lists(st.integers(0, 3), min_size=1, max_size=4), name_first=st.booleans())
def test_all_numbers_of_an_equation_have_to_be_the_expected_one(sides: list[int], name_first: bool) -> None:
    numbers = " = ".join(map(str, sides))
    equation = f"x = {numbers}" if name_first else f"{numbers} = x"
    assert (run(rf"\boxed{{{equation}}}", "2") is None) is (set(sides) == {2})


@given(
    whole=st.integers(0, 99),
    fixed=st.text("0123456789", max_size=4),
    period=st.text("0123456789", min_size=1, max_size=6),
)
def test_a_repeating_decimal_is_exact(whole: int, fixed: str, period: str) -> None:
    value = whole + Fraction(int(fixed or "0"), 10 ** len(fixed))
    value += Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(fixed))
    for written in (rf"{whole}.{fixed}\overline{{{period}}}", f"{whole}.{fixed}({period})"):
        parts = re.fullmatch(r"\\frac\{(\d+)\}\{(\d+)\}", plain(written, alone=True))
        assert parts
        assert Fraction(int(parts[1]), int(parts[2])) == value


PIECES = [
    "47",
    "=",
    "x",
    "\\leq ",
    "<",
    "≥",
    "√",
    "(",
    ")",
    "{",
    "}",
    "π",
    "pi",
    ",",
    ";",
    "\\\\",
    ".",
    "$",
    ":",
    " and ",
    "\n",
    "\\text{",
]
WILD = st.text(max_size=40) | st.lists(st.sampled_from(PIECES) | st.text(max_size=2), max_size=20).map("".join)


@given(WILD)
@example("=")
@example("√(")
def test_any_text_is_read(text: str) -> None:
    assert "=".join(equations.sides(text)).count("=") == text.replace(":=", "=").count("=")
    assert everyday_formulas.bare(everyday_formulas.bare(text)) in text
    equations.is_relation(equations.name_first(text))
    everyday_formulas.signs(everyday_formulas.in_sentence(text))


@given(
    st.text(st.characters(exclude_categories=("Nd",), exclude_characters="√∛∜π≤≥⩽⩾≠≈")).filter(
        lambda text: "pi" not in text
    )
)
def test_a_sentence_without_formulas_stays_as_it_is(text: str) -> None:
    assert everyday_formulas.in_sentence(text) == text


@pytest.mark.parametrize(
    "text", ["1=", "1", "√(", "√{a", "(", "x=", "x ", " ", ";", "x>1", "pi", "2π", "\\leq", "1,", "1=1x", "π("]
)
def test_long_texts_are_read_soon(text: str) -> None:
    long = text * (20_000 // len(text))
    before = time.process_time()
    everyday_formulas.in_sentence(everyday_formulas.signs(everyday_formulas.bare(long)))
    everyday_formulas.in_sentence(long)
    equations.is_relation(equations.name_first(long))
    plain(long, alone=True)
    assert time.process_time() - before < 2
