from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import make_tokenizer

from finetune.serving.rows import Piece, Token
from finetune.serving.writing import Writer, held_back

TOKENIZER = make_tokenizer()


def decode(ids: Sequence[int]) -> str:
    return str(TOKENIZER.decode(list(ids), skip_special_tokens=True))


def write(ids: Sequence[int], stops: Sequence[str] = ()) -> list[Piece]:
    writer, pieces = Writer(decode, stops), []
    for token in ids:
        pieces.append(writer.push(Token(token)))
        if writer.stopped:
            return pieces
    return [*pieces, writer.end()]


def joined(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def ids_of(text: str) -> list[int]:
    return list(TOKENIZER(text, add_special_tokens=False)["input_ids"])


@given(st.lists(st.integers(0, len(TOKENIZER) - 1), max_size=40))
def test_pieces_add_up_to_what_the_whole_decodes_to(ids: list[int]) -> None:
    pieces = write(ids)
    assert joined(pieces) == decode(ids)
    assert [token.id for piece in pieces for token in piece.tokens] == ids


@given(st.text(max_size=30))
def test_a_character_is_given_away_whole_or_not_yet(text: str) -> None:
    text = text.replace("\N{REPLACEMENT CHARACTER}", "")
    pieces = write(ids_of(text))
    assert joined(pieces) == text
    assert not any("\N{REPLACEMENT CHARACTER}" in piece.text for piece in pieces)


def test_a_character_of_four_tokens_comes_with_its_last() -> None:
    pieces = write(ids_of("a😀b"))
    assert [piece.text for piece in pieces] == ["a", "", "", "", "😀", "b", ""]
    assert [piece.offsets for piece in pieces] == [(0,), (), (), (), (1, 1, 1, 1), (2,), ()]


def test_a_character_that_is_never_finished_is_shown_as_broken_at_the_end() -> None:
    pieces = write(ids_of("a😀")[:-1])
    assert [piece.text for piece in pieces] == ["a", "", "", "", "\N{REPLACEMENT CHARACTER}"]


@given(
    st.text(alphabet="ab😀é", max_size=30),
    st.lists(st.text(alphabet="ab😀é", min_size=1, max_size=4), min_size=1, max_size=3),
)
def test_a_stop_over_any_token_border_ends_the_text_before_it(text: str, stops: list[str]) -> None:
    found = joined(write(ids_of(text), stops))
    assert text.startswith(found)
    assert not any(stop in found for stop in stops)
    if any(stop in text for stop in stops):
        assert any(text[len(found) :].startswith(stop) for stop in stops)
    else:
        assert found == text


def test_what_could_become_a_stop_is_held_back_and_given_when_it_does_not() -> None:
    pieces = write(ids_of("xENx"), ["END"])
    assert [piece.text for piece in pieces] == ["x", "", "", "ENx", ""]


def test_tokens_of_the_stop_are_not_given() -> None:
    pieces = write(ids_of("xyEND and more"), ["END"])
    assert [token.id for piece in pieces for token in piece.tokens] == ids_of("xy")


def test_special_tokens_have_no_text_and_are_listed() -> None:
    special = TOKENIZER.convert_tokens_to_ids("<|im_start|>")
    pieces = write([*ids_of("a"), special, *ids_of("b")])
    assert joined(pieces) == "ab"
    assert [token.id for piece in pieces for token in piece.tokens] == [*ids_of("a"), special, *ids_of("b")]


def test_the_token_that_ends_an_answer_is_listed_at_its_end() -> None:
    writer = Writer(decode)
    writer.push(Token(ids_of("a")[0]))
    assert writer.end(Token(1)) == Piece("", (Token(1),), (1,))


@pytest.mark.parametrize(
    ("text", "marks", "held"),
    [("abc", [], 0), ("abc", ["x"], 0), ("ab</thi", ["</think>"], 5), ("aab", ["abx", "bcd"], 2), ("end", ["end"], 0)],
)
def test_what_may_begin_a_mark_is_counted(text: str, marks: list[str], held: int) -> None:
    assert held_back(text, marks) == held
