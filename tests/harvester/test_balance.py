"""What is accepted against what was asked, by classes of seeds."""

from typing import Any

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
