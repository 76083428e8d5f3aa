r"""Results: examples/check_solutions.py says what the verifier of `reasoning` says, by other means, and never hangs."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from second_opinion import RIGHT, UNREADABLE, WRONG, accepted, verdict  # isort: skip - a helper beside the tests

SAME: dict[str, list[str]] = {
    "0": ["0", "1 - 1", "-0", "0.0"],
    "11": [
        "x = 11",
        "x_1 = 11",
        "f(3) = 11",
        "11=x",
        "11 = f(3)",
        "2 + 9 = 11 = x",
        "x := 11",
        r"x \in \{11\}",
        r"\text{Result} = 11",
        r"n = 11 \text{ rolls}",
    ],
    "47": [
        r"\,47\,",
        "047",
        "+47",
        "--47",
        "(47)",
        r"\left(47\right)",
        "[47]",
        "{{47}}",
        r"\boxed{47}",
        r"\{47\}",
        "47;",
        "47\\\\",
        "47.",
        "47 = n",
    ],
    "-3": ["-3", "\u22123", r"\frac{-6}{2}", r"-\frac{6}{2}", "x = -3"],
    "120": [
        r"\$120",
        "$120$",
        r"120\text{ euros}",
        r"\text{120}",
        r"\mathbf{120}",
        "120\\,\\text{\u20ac}",
        "5!",
        "120 euros",
        "\u20ac120",
        "120,00",
    ],
    "1275": ["1,275", "1{,}275", "1275.00", r"\frac{2550}{2}", "1'275", "\uff11\uff12\uff17\uff15"],
    "1102.5": ["1,102.50", r"\$1,102.50", r"\frac{2205}{2}", r"1102.50\text{ euros}", "1.102,50", "1102,5"],
    "1000000": ["10^6", "1,000,000", r"10^{6}", r"1 \cdot 10^6", "1 million", r"1\,000\,000", "1.000.000", "1 000 000"],
    "5/4": [
        "5/4",
        "5 : 4",
        r"5 \div 4",
        "1.25",
        "15/12",
        "125%",
        r"125\%",
        r"1\frac14",
        r"1 \frac{1}{4}",
        r"\tfrac54",
        "1 1/4",
        "1\u00bc",
    ],
    "161/36": [r"4\frac{17}{36}", r"\dfrac{161}{36}", r"\frac{161}{36} \approx 4.47", "4.472222"],
    "3/8": [".375", r"37.5\%", r"\frac{3}{8} = 37.5\%", r"P(A) = \frac{3}{8}", r"\frac{1}{\frac{8}{3}}", "2^{-3} * 3"],
    "15/16": [r"1 - \frac{1}{16}", r"1-\left(\frac{1}{2}\right)^4"],
    "4": ["4%", r"4\,\%", r"4 \text{ percent}", r"\sqrt{16}", r"\sqrt[3]{64}"],
    "56": [r"\binom{8}{3}", "7 \u00d7 8", r"7 \times 8", r"7 \cdot 8 = 56"],
    "1/9": [r"0.\overline{1}", r"0.\bar{1}", "0.(1)", r"\frac{1}{9} = 0.\overline{1}"],
    "-7/6": [r"-1.1\overline{6}", r"x = -1,1\overline{6}"],
    "30": [r"\frac{5!}{2!2!}", "5!/(2! 2!)"],
    "900": [r"900\,\text{ml}", r"900 \text{ millilitres}", r"900 \, \mathrm{mL}", "900 ml", "900ml"],
    "125": [r"125 \text{ cm}^3", r"125\,\mathrm{cm^3}", "5^3"],
    "22.1": ["22,1", "2.21e1", "22.1 litres"],
    "60": [r"1 \text{ hour} = 60 \text{ minutes}", "60 minutes"],
    "19.2": [r"19.2 \text{ km/h}", "19.2 km/h", r"\frac{96}{5}"],
    "80": [r"80^\circ", r"80^{\circ}", "80 degrees", "80\u00b0"],
    r"25\pi": [
        r"25\pi",
        "25\u03c0",
        "25pi",
        "25 pi",
        r"\pi \times 25",
        r"\pi 5^2",
        r"A = 25\pi",
        r"25\pi \text{ cm}^2",
        r"\frac{50\pi}{2}",
    ],
    r"5\sqrt{2}": [
        r"5\sqrt2",
        r"\sqrt{50}",
        r"\frac{10}{\sqrt{2}}",
        r"\sqrt{5^2+5^2}",
        "5\u221a2",
        r"5 \cdot 2^{1/2}",
        r"5 \cdot 2^{0.5}",
        "7.071067811865",
    ],
    "2x+1": ["1 + 2x", "f(x) = 2x + 1"],
    "x^2-1": ["(x-1)(x+1)"],
    r"\frac{n(n+1)}{2}": [r"\frac{n^2+n}{2}", "n(n+1)/2"],
}
OTHER: dict[str, list[str]] = {
    "0": ["1", "0.00001"],
    "11": ["x = 12", "5x = 55", "x = 11, y = 3", "11x", r"11 \text{ or } 12", "11, 12", "11 and 12"],
    "47": [
        "",
        " ",
        "48",
        "-47",
        "4.7",
        "47!",
        "336 - 289 = 48",
        "47 = 48",
        "48 = 47",
        "x = 48 = 47",
        "48 = 47 = x",
        r"48 \text{ rolls} = 47 \text{ rolls}",
        "336 - 289 = 48 = 47",
        "1/0",
        r"\frac{47}{0}",
        "10 + 36",
        "0x + 48",
    ],
    "-3": ["3", r"\frac{6}{2}"],
    "120": ["12", r"\$12", "1,200", "0.120"],
    "1275": ["1.275", "12.75", r"1 \cdot 275"],
    "5/4": ["4/5", r"1\frac13", "1.2", "12.5%", r"\frac45", "14"],
    "3/8": ["0.38", "38%", "8/3", r"\frac{3}{8} = 0.4"],
    "4": ["0.04", "40%", r"\frac{4}{100}"],
    "1/9": ["0.1", "0.11", r"0.\overline{2}", r"0.0\overline{1}"],
    "22.1": ["22.1 million", "22,1 million", "221", r"2.21 \text{ litres}", "21.1"],
    r"25\pi": ["25", "78.5", r"25\pi^2", r"\pi", "25 = 25\u03c0"],
    r"5\sqrt{2}": ["7.07", r"\sqrt{10}", r"5^2"],
    "2x+1": ["2x", "2y + 1", "3"],
    "100000000000000000001": ["100000000000000000000"],
}
WITHOUT_A_BOX = [
    ("47", RIGHT),
    ("It is 47.", RIGHT),
    ("**47**", RIGHT),
    ("Rolls: 47", RIGHT),
    ("47 rolls are left.\n\nHope this helps!", RIGHT),
    ("336 - 289 = 47", RIGHT),
    ("So it is $\\frac{94}{2}$.", RIGHT),
    ("\\[336 - 289 = 47\\]", RIGHT),
    ("I get 48.", WRONG),
    ("336 - 289 = 48", WRONG),
    ("", WRONG),
    ("no idea", WRONG),
]
SEVERAL_BOXES = [
    ("\\boxed{48}, or rather \\boxed{47}", RIGHT),
    ("\\boxed{} \\boxed{47}, which is not 48", RIGHT),
    ("\\boxed{47} " * 3_000, RIGHT),
    ("\\boxed{47} or \\boxed{48}", WRONG),
    ("\\boxed{47} \\boxed{}", WRONG),
]
NOT_READ = {
    "47": [
        "forty-seven",
        "at least 47",
        r"x \geq 47",
        r"\pm 47",
        r"\color{red}{47}",
        r"\text{out of } 47",
        "47 47",
        "4 7",
    ],
    "445": ["7 hours 25 minutes"],
    "2": ["1.2.3"],
    "1/9": ["1 in 9"],
    r"[1, 2)": [r"[1, 2)"],
    "2, 3": ["2, 3", "2"],
    "": ["7"],
}
HOSTILE = [
    "9^{9^{9^{9}}}",
    "10^{1000000000}",
    "2^{-9999999999}",
    "1.0000001^{" + "9" * 40 + "}",
    "1000000!",
    "((((9!)!)!)!)!",
    "9" * 50_000,
    "(" * 240 + "48" + ")" * 240,
    "{" * 20_000 + "48" + "}" * 20_000,
    "47 " + "cm " * 20_000 + "1",
    "4" + ",444" * 20_000,
    "\\text{" * 20_000,
    "\\boxed{" * 20_000,
    "\\sqrt{-1}",
    "0/0",
    "0^0",
]


def cases(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(result, written) for result, all_written in table.items() for written in all_written]


def both(answer: str, result: str) -> tuple[str | None, bool]:
    return verdict(answer, {"result": result}), accepted(answer, {"result": result})


@pytest.mark.parametrize(("result", "written"), cases(SAME))
def test_a_right_result_is_right_however_it_is_written(result: str, written: str) -> None:
    assert both(f"Let me see.\nSo it is \\boxed{{{written}}}.", result) == (RIGHT, True)


@pytest.mark.parametrize(("result", "written"), cases(OTHER))
def test_another_result_is_wrong(result: str, written: str) -> None:
    assert both(f"Let me see.\nSo it is \\boxed{{{written}}}.", result) == (WRONG, False)


@pytest.mark.parametrize(("answer", "expected"), [*WITHOUT_A_BOX, *SEVERAL_BOXES])
def test_the_last_box_counts_and_without_one_the_last_line(answer: str, expected: str) -> None:
    assert both(answer, "47") == (expected, expected == RIGHT)


@pytest.mark.parametrize(("result", "written"), cases(NOT_READ))
def test_what_it_cannot_read_is_neither_right_nor_wrong(result: str, written: str) -> None:
    assert verdict(f"\\boxed{{{written}}}", {"result": result}) == UNREADABLE


@pytest.mark.parametrize("written", ["It is 47, not 48.", "\\boxed{47", "47 rolls of 14 trays"])
def test_a_line_of_several_values_is_left_to_the_reader(written: str) -> None:
    assert verdict(written, {"result": "47"}) == UNREADABLE


@pytest.mark.timeout(20)
@pytest.mark.parametrize("written", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_keeps_it_busy(written: str) -> None:
    assert verdict(f"\\boxed{{{written}}}", {"result": "47"}) in {WRONG, UNREADABLE}
    assert verdict(written, {"result": "47"}) in {WRONG, UNREADABLE}


def test_a_formula_that_keeps_the_verifier_busy_is_refused_by_both() -> None:
    assert both("\\boxed{10^{1000000000}}", "47") == (WRONG, False)


@pytest.mark.parametrize("seed", [{"result": None}, {"result": "what?"}, {"result": "1/0"}, {"result": ["47"]}])
def test_a_seed_without_a_readable_result_is_said_to_be_that(seed: dict[str, object]) -> None:
    assert verdict("\\boxed{47}", seed) == UNREADABLE


FRACTIONS = st.fractions(min_value=-500, max_value=500, max_denominator=60)
WRITERS = [
    str,
    lambda value: f"x = {value.numerator} / {value.denominator}",
    lambda value: rf"\frac{{{2 * value.numerator}}}{{{2 * value.denominator}}} \text{{ cm}}",
    lambda value: rf"\dfrac{{{value.numerator}}}{{{value.denominator}}}",
    lambda value: rf"{value.numerator} \div {value.denominator}",
    lambda value: rf"{value.numerator} \cdot {value.denominator}^{{-1}}",
    lambda value: f"{float(value):.9f}",
]


@given(FRACTIONS, FRACTIONS, st.sampled_from(WRITERS))
def test_any_fraction_is_itself_and_no_other(value: Fraction, other: Fraction, write: object) -> None:
    assert callable(write)
    answer = f"\\boxed{{{write(value)}}}"
    assert verdict(answer, {"result": str(value)}) == RIGHT
    assert verdict(answer, {"result": str(other)}) == (RIGHT if value == other else WRONG)


@given(st.text(max_size=60), st.sampled_from(["47", r"25\pi", "x+1"]))
def test_any_text_has_a_verdict(text: str, result: str) -> None:
    for answer in (text, f"\\boxed{{{text}}}", f"${text}$"):
        assert verdict(answer, {"result": result}) in {RIGHT, WRONG, UNREADABLE}
