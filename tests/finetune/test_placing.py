"""Tokens with unknown bytes: what is said to be known is right, and what is right is known where nothing hides it."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.placing import END, place, place_beginning

# Few letters, so that a run often stands in several places.
TOKENS = st.lists(st.text("ab é", min_size=1, max_size=4).map(str.encode), max_size=12)


@given(TOKENS, st.data(), st.sampled_from([None, b"", b"</s>", b"hidden"]))
def test_what_is_known_is_right(tokens: list[bytes], data: st.DataObject, end: bytes | None) -> None:
    hidden = [data.draw(st.booleans()) for _ in tokens]
    said = [None if hide else token for token, hide in zip(tokens, hidden, strict=True)]
    said += [] if end is None else [None if end == b"hidden" else end]
    if not said:
        return
    truth = [*accumulate(map(len, tokens), initial=0)]
    answer = b"".join(tokens)
    placed = place(said, answer)
    assert placed is not None
    pieces, begins = placed
    assert len(begins) == len(pieces) + 1 == len(said) + 1
    assert all(begin in {None, true} for begin, true in zip(begins, truth, strict=False))
    assert begins[0] == 0
    if end in {b"", b"</s>"}:
        assert pieces[-1] == END
        assert begins[-2:] == [len(answer), len(answer) + len(END)]
    if not any(hidden) and end != b"hidden":
        assert begins[: len(truth)] == truth


@given(TOKENS.filter(bool), st.data())
def test_of_a_cut_answer_all_is_known_up_to_the_first_unknown_token(tokens: list[bytes], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(tokens)))
    answer = b"".join(tokens)
    placed = place_beginning(
        [*tokens[:first], *[None] * (len(tokens) - first)], answer[: data.draw(st.integers(0, len(answer)))]
    )
    assert placed is not None
    truth = [*accumulate(map(len, tokens), initial=0)]
    assert placed[1] == truth[: first + 1] + [None] * (len(tokens) - first)


@pytest.mark.parametrize(
    ("said", "answer", "begins"),
    [
        ([b"a", None, b"b"], "a€b", [0, 1, 4, 5]),
        ([b"a", None, None, b"b"], "a€b", [0, 1, None, 4, 5]),
        ([None, None], "é", [0, None, None]),  # the last one may be the end
        ([None], "é", [0, 2]),
        ([b"a", None], "a", [0, 1, 1]),  # nothing is left for it: the end
        ([b"a", None, b"b", b"c", None, b"d"], "aébcéd", [0, 1, 3, 4, 5, 7, 8]),
        ([b"a", None, b" ", None, b"b"], "aé é éb", [0, 1, None, None, 9, 10]),  # the space may be either
        ([b"a", None, b" ", None, b"b", None, b"c"], "aé é ébéc", [0, 1, None, None, 9, 10, 12, 13]),
    ],
)
def test_runs_between_unknown_tokens_count_where_they_can_stand_in_one_place_only(
    said: list[bytes | None], answer: str, begins: list[int | None]
) -> None:
    placed = place(said, answer.encode())
    assert placed is not None
    assert placed[1] == begins


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ([b"a", None, b"c"], "aéb"),
        ([b"b", None], "aé"),
        ([None, None, None, b"b"], "éb"),  # three tokens have three bytes at least
        ([b"a", None, b"b", None, b"b"], "aéb"),
        ([b"ab", None, b"b"], "ab"),
        ([b"b"], "bb"),
        ([b"a", b"no mark"], "a"),
    ],
)
def test_what_cannot_stand_in_the_answer_is_another_text(said: list[bytes | None], answer: str) -> None:
    assert place(said, answer.encode()) is None


def test_the_end_of_a_cut_answer_is_the_mark_behind_it() -> None:
    assert place_beginning([b"a", b"b", b"</s>"], b"a") == ([b"a", b"b", END], [0, 1, 2, 6])
    assert place_beginning([b"a", b"<b>"], b"a<b") == ([b"a", b"<b>"], [0, 1, 4])
    assert place_beginning([b"a", None, b"</s>"], b"a\xc3") == ([b"a", None, END], [0, 1, None, None])
    assert place_beginning([b"a"], b"ab") is None
    assert place_beginning([b"b", None], b"ab") is None
