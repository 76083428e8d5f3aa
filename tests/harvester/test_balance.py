"""What is accepted against what was asked, by classes of seeds."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.balance import LEAST_ASKED, balance


def seeds(**counts: int) -> list[dict[str, Any]]:
    return [{"kind": kind, "text": f"{kind} {number}"} for kind, count in counts.items() for number in range(count)]


def test_a_class_that_is_never_accepted_is_warned_of() -> None:
    found = balance(seeds(paid=10, owed=10, refund=8), seeds(paid=9, owed=2))
    assert found.fields["kind"] == {"paid": (10, 9), "owed": (10, 2), "refund": (8, 0)}
    assert found.warnings == ("kind: nothing accepted of 'refund' (0 of 8)",)


def test_one_class_only_is_said_so() -> None:
    (warning,) = balance(seeds(paid=10, refund=8), seeds(refund=8)).warnings
    assert warning == "kind: only 'refund' is ever accepted (8 of 8); nothing of 'paid' (0 of 10)"


def test_a_few_seeds_of_a_class_prove_nothing() -> None:
    assert balance(seeds(paid=10, refund=LEAST_ASKED - 1), seeds(paid=10)).warnings == ()


def test_texts_of_their_own_are_no_classes() -> None:
    assert set(balance(seeds(paid=20, owed=20), []).fields) == {"kind"}


@pytest.mark.parametrize("samples", [1, 4])
@pytest.mark.parametrize("number", [2, 6, 10, 12])
def test_few_questions_of_their_own_are_no_classes(number: int, samples: int) -> None:
    asked = [{"question": f"Why {one}?", "chunk": one, "text": f"Text {one}"} for one in range(number)] * samples
    found = balance(asked, asked[:1])
    assert found.fields == {}
    assert found.warnings == ()


def test_four_labels_of_twelve_seeds_are_classes() -> None:
    labels = ("paid", "owed", "refund", "other")
    found = balance(seeds(**dict.fromkeys(labels, 3)), seeds(paid=3, owed=1))
    assert found.fields == {"kind": {"paid": (3, 3), "owed": (3, 1), "refund": (3, 0), "other": (3, 0)}}


def test_a_value_is_shared_by_two_seeds_or_more() -> None:
    pairs = [{"name": name, "number": number} for name in "abc" for number in range(2)]
    assert set(balance(pairs, []).fields) == {"name", "number"}
    assert set(balance([*pairs, {"name": "d", "number": 0}], []).fields) == {"number"}


def test_a_rare_class_is_counted_beside_common_ones() -> None:
    assert balance(seeds(paid=20, refund=1), []).fields["kind"] == {"paid": (20, 0), "refund": (1, 0)}


def test_texts_some_of_which_are_short_are_no_classes() -> None:
    asked = [{"text": "Long text, one of many. " * 4 + str(number)} for number in range(20)]
    assert balance([*asked, {"text": "Yes"}, {"text": "No"}], []).fields == {}


def test_rows_are_counted_and_not_seeds() -> None:
    assert balance(seeds(paid=3, owed=3) * 4, seeds(paid=3) * 2).fields == {"kind": {"paid": (12, 6), "owed": (12, 0)}}


def test_answers_that_are_all_the_same_are_warned_of() -> None:
    assert balance([], [], ["refund"] * 8).warnings == (
        "the answer itself: all 8 accepted answers looked at are 'refund'",
    )
    assert balance([], [], ["refund"] * 8 + ["paid"]).warnings == ()


@given(st.lists(st.dictionaries(st.text(max_size=3), st.none() | st.booleans() | st.text(max_size=50) | st.floats())))
def test_any_seeds_have_a_balance(wild: list[dict[str, Any]]) -> None:
    found = balance(wild, wild)
    assert all(asked == accepted for shares in found.fields.values() for asked, accepted in shares.values())
    assert not found.warnings


def test_status_shows_the_balance_and_the_warning(folder: Any, provider: Any, harvester: Any) -> None:
    folder.write("train.jsonl", "".join(f'{{"text": "t{n}", "kind": "{"ab"[n % 2]}"}}\n' for n in range(12)))
    folder.data["steps"][0]["verify"] = {"regex": {"pattern": "even"}}
    folder.save()
    provider.answer = lambda body: "even" if int(body["messages"][0]["content"].split("t")[-1]) % 2 == 0 else "odd"
    assert harvester("collect", folder.path)[0] == 0
    _, out, _ = harvester("status", folder.path)
    assert "  accepted by kind: a 6 of 6, b 0 of 6\n" in out
    assert "WARNING: kind: only 'a' is ever accepted (6 of 6); nothing of 'b' (0 of 6)\n" in out
    assert "WARNING: the answer itself: all 6 accepted answers looked at are 'even'\n" in out
