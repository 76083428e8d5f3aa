r"""Votes: equal answers have equal keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.verify import vote_key
from harvester.verify.boxed import last_boxed


@pytest.mark.parametrize(
    ("one", "other", "by"),
    [
        ("Paris", " paris.\n", "text"),
        ("caf\u00e9 au lait", "cafe\u0301  au\tlait", "text"),
        ('{"a": 1, "b": [2.0]}', '{ "b": [2], "a": 1.0 }', "json"),
        ('"\\u00e9"', '"\u00e9"', "json"),
        (r"x \boxed{\frac{1}{2}} y", r"\boxed{1} then \boxed{ \frac{1} {2} }", "boxed"),
        (r"\boxed{\text{Paris}}", r"\boxed{$Paris$.}", "boxed"),
        (r"\boxed{\left(1, 2\right)}", r"\boxed{(1,\,2)}", "boxed"),
    ],
)
def test_equal_answers_have_equal_keys(one: str, other: str, by: str) -> None:
    assert vote_key(one, by) == vote_key(other, by) is not None


@pytest.mark.parametrize(
    ("one", "other", "by"),
    [
        ("Paris", "Rome", "text"),
        ("1.0", "10", "text"),
        ("true", "1", "json"),
        ('"1"', "1", "json"),
        ("[1, 2]", "[2, 1]", "json"),
        (r"\boxed{1}", r"\boxed{2}", "boxed"),
        (r"\boxed{a}", r"\boxed{A}", "boxed"),
        (r"\boxed{\text{a}+\text{b}}", r"\boxed{a+b}", "boxed"),
    ],
)
def test_different_answers_have_different_keys(one: str, other: str, by: str) -> None:
    assert vote_key(one, by) != vote_key(other, by)


@pytest.mark.parametrize(
    ("text", "by"),
    [
        ("", "text"),
        (" . ", "text"),
        ("no", "json"),
        ("NaN", "json"),
        ("no", "boxed"),
        (r"\boxed{1", "boxed"),
        (r"\boxed{ }", "boxed"),
    ],
)
def test_an_answer_without_a_vote_has_no_key(text: str, by: str) -> None:
    assert vote_key(text, by) is None


def test_an_unknown_way_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="text, json, boxed"):
        vote_key("x", "xml")


@pytest.mark.parametrize(
    ("text", "inner"),
    [(r"\boxed{a{b}c}d}", "a{b}c"), (r"\boxed{\{1\}}", r"\{1\}"), (r"\boxed{1}\boxed{2}", "2"), (r"\boxed 5", None)],
)
def test_braces_are_balanced(text: str, inner: str | None) -> None:
    assert last_boxed(text) == inner


@given(st.text() | st.from_regex(r"\\boxed\{[\\{}a]*\}?"), st.sampled_from(["text", "json", "boxed"]))
def test_a_key_is_a_function_of_the_text_and_can_be_stored(text: str, by: str) -> None:
    key = vote_key(text, by)
    assert key == vote_key(text, by)
    assert key is None or key.encode("utf-8")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_layout_never_changes_a_json_vote(value: object) -> None:
    import json

    compact, wide = json.dumps(value), json.dumps(value, indent=3, ensure_ascii=False)
    assert vote_key(compact, "json") == vote_key(wide, "json")
