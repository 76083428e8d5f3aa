"""The verifiers that compare a field of the answer with the seed's text."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harvester.records import Check
from harvester.verify import build, resolve
from harvester.verify.date_in_text import dates_in
from harvester.verify.number_in_text import numbers_in


def check(verifier: str, value: Any, text: str, **settings: Any) -> Check:
    (verify,) = build(resolve({verifier: {"field": "f", "source": "text", **settings}}, Path()))
    return verify(json.dumps({"f": value}), {"text": text})


@pytest.mark.parametrize(
    ("value", "text", "passed"),
    [
        ("Mary-Anne Iyer", "Paid by Mary-Anne Iyer.", True),
        ("Mary-Anne\tIyer ", "Paid by Mary-Anne\n  Iyer.", True),
        ("Zoe\u0308 Kay", "From Zo\u00eb Kay", True),  # a composed and a decomposed letter look the same
        ("mary-anne Iyer", "Paid by Mary-Anne Iyer.", False),
        ("Lin", "Lindqvist paid; Merlin did not", False),
        ("Lin", "Lindqvist paid, Lin did not", True),
        ("2", "12 chairs, 2 tables", True),
        ("1", "12 chairs", False),
        ("王伟", "今天王伟付了钱", True),  # no spaces between Chinese words
        ("", "anything", False),
        ("  ", "a  b", False),
        (".", "a. b", False),
        (["Ana"], "Ana", False),
        (None, "None", False),
    ],
)
def test_a_span_is_copied_whole(value: Any, text: str, passed: bool) -> None:
    assert check("copied_span", value, text).passed is passed


@given(st.text(), st.text())
def test_whatever_is_cut_out_at_spaces_is_a_copied_span(before: str, after: str) -> None:
    assert check("copied_span", "Ana Sousa", f"{before} Ana Sousa {after}").passed


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("45", "45"),
        ("it costs 45.00.", "45"),
        ("$1,250.50", "1250.5"),
        ("1.250,50 EUR", "1250.5"),
        ("CHF 1'250.50", "1250.5"),
        ("1\u202f250,50 €", "1250.5"),
        ("1 250,50", "1250.5 1 250.5"),
        ("45,5 and 1,250 and 1,2345", "45.5 1250 1.2345"),
        ("1.250 and 1.250.000", "1.25 1250000"),
        ("about $1.2k", "1200"),
        ("-45, -$46, $-47, \u221248", "-45 -46 -47 -48"),
        ("10-20", "10 20"),
        ("EUR45 46EUR US$47 48kg", "45 46 47 48"),
        ("order #82817, # 5, A4, INV-2044, x9y", ""),
        ("at 12:30 on the 5th, version 1.2.3", ""),
        ("$45 on March 5, 2024", "45"),
        ("16 Aug 2019: £499.37", "499.37"),
        ("2022/11/02 2023-01-31 25.12.2020", ""),
        ("", ""),
        ("none", ""),
    ],
)
def test_numbers_are_read_as_documented(text: str, numbers: str) -> None:
    assert set(numbers_in(text)) == {Decimal(number) for number in numbers.split()}


@pytest.mark.parametrize(
    ("value", "passed"),
    [(1250.5, True), (45, True), (45.0, True), (4.5, False), (1250, False), (2024, False), (-45, False)],
)
def test_a_number_is_in_the_text_by_its_value(value: float, passed: bool) -> None:
    assert check("number_in_text", value, "2 for 45.00 on May 5, 2024: $1,250.50").passed is passed


@pytest.mark.parametrize("value", ["45", True, None, [45], {"x": 45}])
def test_what_is_no_json_number_fails(value: Any) -> None:
    assert not check("number_in_text", value, "45 1 0").passed


@given(st.decimals(min_value=0, max_value=10**9, places=2), st.sampled_from(["${}", "{} euros", "EUR {}", "sum: {}."]))
def test_grouped_and_plain_forms_of_an_amount_are_both_read(amount: Decimal, form: str) -> None:
    for written in (f"{amount:,.2f}", f"{amount:.2f}"):
        assert check("number_in_text", float(amount), form.format(written)).passed


def test_long_runs_of_digits_are_read_in_linear_time() -> None:
    for text in ("1" * 200_000, "1,111" * 50_000, "1 111 " * 30_000, "1." * 100_000):
        list(numbers_in(text))


@pytest.mark.parametrize(
    "text",
    [
        *("2024-03-05", "2024/03/05", "2024.03.05", "2024-3-5", "2024-03-05T10:00", "on March 5, 2024.", "Mar. 5 2024"),
        *("MARCH 5TH, 2024", "5 March 2024", "5-Mar-2024", "the 5th of March 2024", "5 march, 2024 at 10:00"),
        *("paid $1,250 5 March 2024", "order 20417, 5 March 2024, 3 chairs", "5\u00a0March\u00a02024"),
    ],
)
def test_dates_are_read_in_their_written_forms(text: str) -> None:
    assert dates_in(text) == ({date(2024, 3, 5)}, [])


@pytest.mark.parametrize(
    "text",
    [
        *("5 March", "March 2024", "maybe 5 2024", "5 Marching 2024", "5 March 20245", "15.03.24", "2024-03-05-06"),
        *("order 20240305", "1,250.50", "12:30", "call 030/12/1234567", ""),
    ],
)
def test_what_is_not_a_whole_date_is_not_read(text: str) -> None:
    assert dates_in(text) == (set(), [])


@pytest.mark.parametrize("text", ["31 February 2024", "2024-02-30", "45 May 2024", "0000-01-01", "99/99/2024"])
def test_days_that_do_not_exist_are_no_dates(text: str) -> None:
    found, unclear = dates_in(text)
    assert not found
    assert unclear == [text]


def test_a_date_whose_day_and_month_could_be_swapped_needs_day_first() -> None:
    text = "paid 03/05/2024"
    unsure = check("date_in_text", "2024-03-05", text)
    assert not unsure.passed
    assert "day_first" in (unsure.reason or "")
    assert check("date_in_text", "2024-05-03", text, day_first=True).passed
    assert check("date_in_text", "2024-03-05", text, day_first=False).passed
    assert not check("date_in_text", "2024-05-03", text, day_first=False).passed


@pytest.mark.parametrize(
    ("text", "day"), [("25/03/2024", "2024-03-25"), ("03/25/2024", "2024-03-25"), ("3.3.2024", "2024-03-03")]
)
def test_a_date_with_one_reading_needs_no_day_first(text: str, day: str) -> None:
    assert check("date_in_text", day, text).passed


@pytest.mark.parametrize(
    "value", ["March 5, 2024", "2024-3-5", "2024-03-05T00:00", "20240305", 20240305, None, "2024-03-05\n"]
)
def test_the_answers_date_is_iso_or_fails(value: Any) -> None:
    assert not check("date_in_text", value, "March 5, 2024; 2024-03-05; 20240305").passed


@given(st.dates(min_value=date(1000, 1, 1)), st.dates(min_value=date(1000, 1, 1)))
def test_a_date_counts_only_when_the_text_states_it(stated: date, claimed: date) -> None:
    assume(stated != claimed)
    text = f"{stated:%B} {stated.day}, {stated.year}, order {claimed:%Y%m%d} for {claimed.year} dollars"
    assert check("date_in_text", stated.isoformat(), text).passed
    assert not check("date_in_text", claimed.isoformat(), text).passed
