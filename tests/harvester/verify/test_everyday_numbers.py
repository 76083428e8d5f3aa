"""Numbers and units as people write them: any text is read, soon, and what is no number stays as it is."""

import time
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harvester.verify import units
from harvester.verify.everyday_numbers import MAGNITUDES, decimal_comma, plain

PIECES = [
    *(
        "1",
        "22,1",
        "1.000",
        " 000",
        "1/2",
        "/0",
        "½",
        "٤",
        "\u2212",
        "\u2013",
        "-",
        "$",
        "\\$",
        "€",
        "US$",
        " million",
        "k",
        "M",
    ),
    *(
        "\u212a",
        "m\u0130llion",
        "万",
        "\\text{",
        "}",
        "{",
        " ml",
        "cm",
        "^2",
        "^{3}",
        "^\\circ",
        "\\%",
        "e5",
        "\\,",
        "~",
        "\u00a0",
    ),
    *(" per ", "/", "square ", "x", "\\pi", " apples", "个", "\ud800", "\u0000", "\n", "\u202e"),
]
WILD = st.text(max_size=60) | st.lists(st.sampled_from(PIECES) | st.text(max_size=2), max_size=30).map("".join)


@given(text=WILD, alone=st.booleans())
@example(text="3 m\u0130llion $5\u212a", alone=False)
def test_any_text_is_read(text: str, alone: bool) -> None:
    form = plain(text, alone=alone)
    decimal_comma(form)
    value, unit = units.split(form)
    assert unit is None or all(unit)
    assert units.agree(unit, unit)
    assert unit is not None or value == form
    units.after_last_number(form)


@given(text=st.text(st.characters(max_codepoint=127, exclude_categories=("Nd",))))
def test_a_text_without_numbers_stays_as_it_is(text: str) -> None:
    assert plain(text, alone=True) == text.replace("{,}", ",")


@given(value=st.decimals(min_value=0, max_value=10**9, places=3), word=st.sampled_from(sorted(MAGNITUDES)))
def test_a_magnitude_is_exact(value: object, word: str) -> None:
    assert Fraction(plain(f"{value} {word}", alone=True)) == Fraction(str(value)) * MAGNITUDES[word]


@given(
    value=st.integers(0, 10**6), unit=st.sampled_from(["ml", "km/h", "cm^2", "apples", "\\text{ kg}", "^\\circ", "€"])
)
def test_a_value_and_its_unit_are_parted(value: int, unit: str) -> None:
    assert units.split(f"{value} {unit}")[0].strip() == str(value)


@pytest.mark.parametrize(
    "text", ["1,", "1 ", "1.000", "$1k ", "1 1/", "\\text{", "a ", "2^", "½", "1e1", "  ", "5 million "]
)
def test_long_texts_are_read_soon(text: str) -> None:
    long = text * (20_000 // len(text))
    before = time.process_time()
    form = plain(long, alone=False)
    units.after_last_number(form)
    units.split(form[: units.LONGEST])
    assert time.process_time() - before < 2
