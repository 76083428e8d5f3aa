"""Scoring an answer against the reference."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.verify import matches_reference, matching_fields

REFERENCE = {"name": "Zoë Kay", "date": "2024-03-05", "amount": 45}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"name": "Zoë Kay", "date": "2024-03-05", "amount": 45.0}, None),
        ({"amount": 45, "name": " Zoe\u0308  Kay", "date": "2024-03-05"}, None),
        ({"name": "zoë kay", "date": "2024-03-05", "amount": 45}, "name: differs"),
        ({"name": "Zoë Kay", "date": "2024-03-06", "amount": 45}, "date: differs"),
        ({"name": "Zoë Kay", "date": "2024-03-05", "amount": "45"}, "amount: differs"),
        ({"name": "Zoë Kay", "date": "2024-03-05"}, "amount: missing"),
        ({**REFERENCE, "currency": "EUR"}, "the answer: 1 more field than asked for"),
        ([REFERENCE], "the answer: differs"),
    ],
)
def test_objects_are_compared_field_by_field(answer: Any, reason: str | None) -> None:
    check = matches_reference(json.dumps(answer), REFERENCE)
    assert (check.passed, check.reason) == (reason is None, reason)


@pytest.mark.parametrize(
    ("answer", "reference", "passed"),
    [
        ("Paris ", "Paris", True),
        ("the  quick\nfox", "the quick fox", True),
        ("paris", "Paris", False),
        ('"Paris"', "Paris", False),
        ("42", 42, True),
        ("42.0", 42, True),
        ("1", True, False),
        ("true", True, True),
        ("0", False, False),
        ("null", None, True),
        ("0", None, False),
        ("[1, 2]", [1, 2], True),
        ("[2, 1]", [1, 2], False),
        ("[1]", [1, 2], False),
        ("[1, true]", [1, 1], False),
    ],
)
def test_other_references_are_text_or_json(answer: str, reference: Any, passed: bool) -> None:
    assert matches_reference(answer, reference).passed is passed


def test_the_reason_names_a_nested_field() -> None:
    reference = {"items": [{"price": 1}, {"price": 2}]}
    assert matches_reference('{"items": [{"price": 1}, {"price": 3}]}', reference).reason == "items[1].price: differs"


def test_the_reason_never_tells_the_reference() -> None:
    check = matches_reference('{"code": "x"}', {"code": "only-the-reference-knows"})
    assert "only-the-reference-knows" not in (check.reason or "")


@pytest.mark.parametrize("answer", ["", "not JSON", "[" * 100_000, "NaN", '{"a": 1, "a": 1}', "\ud800"])
@pytest.mark.parametrize("reference", [REFERENCE, [], 3, "text"])
def test_wild_answers_fail_with_a_reason(answer: str, reference: Any) -> None:
    check = matches_reference(answer, reference)
    assert not check.passed
    assert check.reason


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES)
def test_every_value_matches_itself(value: Any) -> None:
    assert matches_reference(json.dumps(value), value).passed


@given(st.text(), VALUES | st.text())
def test_no_answer_makes_the_comparison_raise(answer: str, reference: Any) -> None:
    check = matches_reference(answer, reference)
    assert check.passed == (check.reason is None)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ({"name": "Zoë Kay", "date": "2024-03-05", "amount": 45.0}, {"name", "date", "amount"}),
        ({"name": "Zoe", "date": "2024-03-05", "more": 1}, {"date"}),
        (["Zoë Kay"], set()),
    ],
)
def test_fields_are_right_or_wrong_each_by_itself(answer: Any, right: set[str]) -> None:
    found = matching_fields(json.dumps(answer), REFERENCE)
    assert found.keys() == REFERENCE.keys()
    assert {name for name, passed in found.items() if passed} == right


def test_no_fields_in_the_reference_or_no_json_in_the_answer() -> None:
    assert matching_fields("x", "x") == {}
    assert matching_fields("no JSON", REFERENCE) == dict.fromkeys(REFERENCE, False)


@given(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=3), st.text(max_size=20))
def test_all_fields_are_right_where_the_whole_is(reference: dict[str, Any], text: str) -> None:
    for answer in (json.dumps(reference), text):
        if matches_reference(answer, reference).passed:
            assert all(matching_fields(answer, reference).values())
