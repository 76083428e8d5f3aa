"""What a teacher said, at a student's tokens: on the tokenizers of published models, and place by place by hand."""

import math
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import real_tokenizers as real
from hypothesis import assume, given
from hypothesis import strategies as st
from tellings import (
    BYTES,
    CHANCES,
    OTHER_STOP,
    STOP,
    Told,
    aligned,
    any_student,
    begins,
    chunked,
    listing,
    lists,
    often,
    own_begins,
    rows,
    said_of,
    spelt,
    student,
    told,
)

from finetune.alignment import Unaligned, align
from finetune.listings import ABSENT

# --- any text, any teacher, students as published


@any_student
@given(rows())
@often
def test_chunks_part_both_at_the_bytes_where_both_part(name: str, row: tuple[str, Told]) -> None:
    text, said = row
    mine = student(name, text)
    found = chunked(said, **mine)
    own, theirs = own_begins(mine), begins([token["bytes"] for token in said])[:-1]
    edges = [*sorted(set(theirs) & set(own)), math.inf]  # the last one but one is the end's
    assert len(found.chunk_logp_C) == len(edges) - 1
    for number, (begin, end) in enumerate(pairwise(edges)):
        parts = [token["logprob"] for token, at in zip(said, theirs, strict=True) if begin <= at < end]
        assert found.chunk_logp_C[number] == pytest.approx(sum(parts), rel=1e-5)
        inside = [at is not None and begin <= at < end for at in own]
        assert (found.chunk_N == number).tolist() == inside
        assert any(inside)
    assert found.chunk_logp_C.sum(dtype=np.float64) == pytest.approx(sum(one["logprob"] for one in said), rel=1e-5)


@any_student
@given(rows())
@often
def test_a_listing_is_where_both_begin_a_token_and_names_what_has_its_bytes(name: str, row: tuple[str, Told]) -> None:
    text, said = row
    mine = student(name, text)
    found = aligned(said, **mine)
    theirs = dict(zip(begins([token["bytes"] for token in said]), said, strict=False))
    first = next(place for place, at in enumerate(own_begins(mine)) if at is not None)
    torn = mine["before"] if first == 0 else b""
    for place, at in enumerate(own_begins(mine)):
        wanted: dict[int, float] = {}
        top = theirs[at]["top"] if at in theirs else {"bytes": [], "logprob": []}
        for piece, logprob in zip(top["bytes"], top["logprob"], strict=True):
            if piece == b"</s>":
                wanted[mine["ids"][-1]] = logprob
            elif (token := mine["vocabulary"].id_of((torn if at == 0 else b"") + piece)) is not None:
                wanted[token] = logprob
        likeliest = sorted(wanted, key=lambda token: (-wanted[token], token))
        assert found.ids_NK[place].tolist() == likeliest + [ABSENT] * (found.ids_NK.shape[1] - len(likeliest))
        assert found.logp_NK[place, : len(wanted)] == pytest.approx([wanted[token] for token in likeliest])
        assert np.isneginf(found.logp_NK[place, len(wanted) :]).all()


@any_student
@given(real.TEXT, CHANCES)
@often
def test_with_the_student_s_own_tokens_all_is_as_it_was_said(name: str, text: str, chance: random.Random) -> None:
    mine = student(name, text)
    vocabulary, ids = mine["vocabulary"], mine["ids"]
    said, wanted = [], []
    for token in ids:
        others = {number: -chance.uniform(1, 5) for number in chance.sample(range(1000, 30000), 3) if number != token}
        top = [(vocabulary.by_id[number], logprob) for number, logprob in ({token: -0.1} | others).items()]
        said.append(listing(vocabulary.by_id[token], -0.1, top))
        wanted.append({token: -0.1} | others)
    found = aligned(said, ids, vocabulary=vocabulary, stop_ids=mine["stop_ids"])
    assert found.same
    assert (found.sampled_N != ABSENT).all()
    parts = chunked(said, ids, vocabulary=vocabulary, stop_ids=mine["stop_ids"])
    assert parts.chunk_N.tolist() == list(range(len(ids)))
    assert found.ids_NK[:, 0].tolist() == ids
    for place, one in enumerate(wanted):
        got = {
            int(token): float(p) for token, p in zip(found.ids_NK[place], found.logp_NK[place], strict=True) if p < 0
        }
        assert {token: p for token, p in got.items() if token != ABSENT} == pytest.approx(one)


@any_student
@given(rows(), CHANCES, st.none() | st.integers(0, 4))
@often
def test_the_order_of_a_listing_says_nothing(
    name: str, row: tuple[str, Told], chance: random.Random, most: int | None
) -> None:
    text, said = row
    mine = student(name, text)
    shuffled = []
    for token in said:
        top = list(zip(token["top"]["bytes"], token["top"]["logprob"], strict=True))
        chance.shuffle(top)
        shuffled.append(listing(token["bytes"], token["logprob"], top))
    one, other = aligned(said, most=most, **mine), aligned(shuffled, most=most, **mine)
    assert np.array_equal(one.ids_NK, other.ids_NK)
    assert np.array_equal(one.logp_NK, other.logp_NK)


@any_student
@given(rows(), st.data())
@often
def test_another_value_at_one_place_moves_that_place_alone(
    name: str, row: tuple[str, Told], data: st.DataObject
) -> None:
    text, said = row
    mine = student(name, text)
    at = data.draw(st.integers(0, len(said) - 1))
    one = aligned(said, **mine)
    top = [
        (piece, logprob - 1)
        for piece, logprob in zip(said[at]["top"]["bytes"], said[at]["top"]["logprob"], strict=True)
    ]
    other = aligned([*said[:at], listing(said[at]["bytes"], said[at]["logprob"], top), *said[at + 1 :]], **mine)
    moved = (one.logp_NK != other.logp_NK).any(axis=1)
    begin = len(b"".join(token["bytes"] for token in said[:at]))
    assert moved.tolist() == [
        own == begin and (one.ids_NK[place] >= 0).any() for place, own in enumerate(own_begins(mine))
    ]
    assert np.array_equal(one.ids_NK, other.ids_NK)


@any_student
@given(rows(), real.TEXT)
@often
def test_the_logprobs_of_another_row_are_refused(name: str, row: tuple[str, Told], text: str) -> None:
    own, said = row
    assume(own != text)
    assert align(said, most=None, **student(name, text)) is Unaligned.OTHER_TEXT


@any_student
@given(rows(end=b""), st.data())
@often
def test_what_is_left_of_a_cut_answer_is_as_in_the_whole_one(
    name: str, row: tuple[str, Told], data: st.DataObject
) -> None:
    text, said = row
    mine = student(name, text)
    whole = aligned(said, **mine)
    left = data.draw(st.integers(1 if mine["before"] else 0, len(mine["ids"]) - 1))
    cut = aligned(said, **mine | {"ids": mine["ids"][:left]})
    most = cut.ids_NK.shape[1]
    assert np.array_equal(cut.ids_NK, whole.ids_NK[:left, :most])
    assert np.array_equal(cut.logp_NK, whole.logp_NK[:left, :most])
    assert (whole.ids_NK[:left, most:] == ABSENT).all()
    assert np.array_equal(cut.sampled_N, whole.sampled_N[:left])
    whole, cut = chunked(said, **mine), chunked(said, **mine | {"ids": mine["ids"][:left]})
    complete = len(cut.chunk_logp_C)
    assert np.array_equal(cut.chunk_logp_C, whole.chunk_logp_C[:complete])
    assert cut.chunk_N.tolist() == [chunk if chunk < complete else ABSENT for chunk in whole.chunk_N[:left].tolist()]


# --- by name: where tokenizers part a text differently


def in_chunks(name: str, *pieces: str | bytes) -> list[str]:
    """The student's tokens, with bars between the chunks that a teacher's tokens make of them."""
    said = [piece if isinstance(piece, bytes) else piece.encode() for piece in pieces]
    mine = student(name, b"".join(said).decode())
    found = chunked([told(piece) for piece in said], **mine)
    chunks: dict[int, list[bytes]] = {}
    for token, chunk in zip(mine["ids"][:-1], found.chunk_N.tolist(), strict=False):
        chunks.setdefault(chunk, []).append(mine["vocabulary"].by_id[token])
    assert ABSENT not in chunks
    return [" | ".join(token.decode(errors="backslashreplace") for token in tokens) for tokens in chunks.values()]


def test_digits_in_groups_and_digits_alone_meet_where_a_group_ends() -> None:
    assert in_chunks("smollm2", "202", "4") == ["2 | 0 | 2", "4"]
    assert in_chunks("smollm2", "3", ".", "141", "59") == ["3", ".", "1 | 4 | 1", "5 | 9"]
    assert in_chunks("gemma", " ", "1", ",", "000", ",", "000") == [" ", "1", ",", "0 | 0 | 0", ",", "0 | 0 | 0"]
    assert in_chunks("smollm2", " 1", ",000") == ["  | 1", ", | 0 | 0 | 0"]


def test_of_a_group_of_digits_only_the_first_one_s_place_is_asked_about() -> None:
    mine = student("smollm2", "2024")
    found = aligned([told(b"202", **{"2": -1.0, "19": -2.0}), told(b"4", **{"5": -1.5})], **mine)
    listed = lists(found, mine["vocabulary"])
    assert listed == [{b"2": -1.0}, {}, {}, {b"4": -0.5, b"5": -1.5}, {}]  # "19" and "202" are no tokens of it
    assert (found.sampled_N != ABSENT).tolist() == [False, False, False, True, False]
    assert not found.same


def test_white_space_meets_where_runs_of_both_end() -> None:
    assert in_chunks("smollm2", "if", " x", ":\n", "    ", "return") == ["if", " x", ": | \n    |  return"]
    assert in_chunks("gemma", "if", " x", ":\n", "    ", "return") == ["if", " x", ": | \n", "    ", "return"]
    assert in_chunks("smollm2", "a\t", "\tb", "\n") == ["a | \t", "\t | b", "\n"]
    assert in_chunks("smollm2", "end", "  ", "\n\n") == ["end", "  ", "\n\n"]  # trailing blanks and an empty line
    assert in_chunks("gemma", "a  ", "  ") == ["a |     "]


def test_arabic_meets_at_letters_and_marks_and_within_words() -> None:
    assert in_chunks("smollm2", "كتا", "ب") == [" | ".join("كتا"), "ب"]
    assert in_chunks("smollm2", "كِتَ", "اب") == [" | ".join("كِتَ"), " | ".join("اب")]
    assert in_chunks("gemma", " ", "كَ", "تَبَ") == [" ", " | ".join("كَ"), " | ".join("تَبَ")]


def test_characters_that_are_parted_inside_meet_at_bytes() -> None:
    assert in_chunks("smollm2", b" \xd9", b"\x83\xd8\xaa", "!") == [r" \xd9", r"\x83 | ت", "!"]
    assert in_chunks("smollm2", b"\xf0\x9f\x91", b"\xa9", "!") == [r"\xf0\x9f | \x91", r"\xa9", "!"]
    assert in_chunks("gemma", b"\xf0\x9f", b"\x91\xa9", "!") == [r"\xf0 | \x9f", r"\x91 | \xa9", "!"]
    assert in_chunks("llama", "e", b"\xcc", b"\x81") == [" e", "\N{COMBINING ACUTE ACCENT}"]


def test_a_byte_that_is_listed_is_the_student_s_token_of_that_byte() -> None:
    mine = student("gemma", "\n👩")
    said = [told(b"\n"), listing(b"\xf0", -0.5, [(b"\xf0", -0.5), (b"\xe2", -1.0)]), told(b"\x9f\x91\xa9")]
    assert lists(aligned(said, **mine), mine["vocabulary"])[1] == {b"\xf0": -0.5, b"\xe2": -1.0}


# --- what is listed


def test_the_sampled_token_does_not_count_where_it_ranks_below_what_was_asked_for() -> None:
    said = [listing(b"c", -3.0, [(b"a", -0.5), (b"b", -1.0), (b"c", -3.0)])]
    found = aligned(said, spelt(b"c", b"<|im_end|>"), most=2)
    assert lists(found)[0] == {b"a": -0.5, b"b": -1.0}
    assert (found.sampled_N != ABSENT).tolist() == [True, False]
    assert lists(aligned(said, spelt(b"c", b"<|im_end|>")))[0] == {b"a": -0.5, b"b": -1.0, b"c": -3.0}


def served(top: Sequence[tuple[bytes, float]], y: bytes, k: int, form: str) -> Told:
    """What an API lists of a distribution, likeliest first, where it sampled y and k tokens were asked for."""
    logprob, best = dict(top)[y], list(top[:k])
    if form == "beyond" and (y, logprob) not in best:
        best.append((y, logprob))
    if form == "in the place of the last" and (y, logprob) not in best:
        best[-1] = (y, logprob)
    return [listing(y, logprob, best)]


@pytest.mark.parametrize("form", ["plain", "beyond", "in the place of the last"])
@pytest.mark.parametrize("ties", [False, True])
def test_which_tokens_count_does_not_depend_on_the_sampled_one(form: str, ties: bool) -> None:
    probabilities = [0.3, 0.2, 0.15, 0.15, 0.1, 0.1] if ties else [0.3, 0.25, 0.2, 0.12, 0.08, 0.05]
    top = [(bytes([letter]), math.log(p)) for letter, p in zip(b"fedcba", probabilities, strict=True)]
    kept = {
        tuple(lists(aligned(served(top, y, 4, form), spelt(y), cut=3))[0].items()) for y, _ in top
    }  # fmt: skip
    assert len(kept) == 1
    assert len(kept.pop()) == 2


def test_a_list_that_is_shorter_than_what_was_asked_for_counts_whole() -> None:
    said = [listing(b"a", -0.5, [(b"a", -0.5), (b"b", -1.0)])]
    assert len(lists(aligned(said, spelt(b"a"), cut=3))[0]) == 2


def test_what_is_no_token_of_the_student_counts_among_those_asked_for_and_is_left_out() -> None:
    said = [listing(b"c", -3.0, [(b"ab", -0.5), (None, -0.7), (b"b", -1.0), (b"c", -3.0)])]  # type: ignore[list-item]
    assert lists(aligned(said, spelt(b"c"), most=3))[0] == {b"b": -1.0}


def test_the_same_bytes_twice_have_both_probabilities() -> None:
    said = [listing(b"a", -1.0, [(b"a", math.log(0.25)), (b"b", math.log(0.3)), (b"a", math.log(0.125))])]
    found = aligned(said, spelt(b"a"))
    assert found.ids_NK.tolist() == [spelt(b"a", b"b")]
    assert np.exp(found.logp_NK[0]) == pytest.approx([0.375, 0.3])


def test_what_has_no_probability_at_all_is_not_listed() -> None:
    said = [listing(b"a", -1.0, [(b"b", -math.inf), (b"a", -1.0), (b"c", math.nan)])]
    assert lists(aligned(said, spelt(b"a"))) == [{b"a": -1.0}]


def test_where_the_api_lists_nothing_there_are_chunks_alone() -> None:
    said = [listing(b"ab", -2.0, []), listing(b"c", -1.0, [])]
    found = aligned(said, spelt(b"a", b"b", b"c", b"<|im_end|>"), bias=0.1)
    assert found.ids_NK.shape == found.logp_NK.shape == (4, 0)
    assert found.chunk_N.tolist() == [0, 0, 1, ABSENT]
    assert found.chunk_logp_C.tolist() == [-2.0, -1.0]


def test_a_chunk_with_a_token_of_unknown_probability_is_none() -> None:
    said = [told(b"a"), told(b"b", -9999.0), told(b"c"), told(b"d", math.nan)]
    found = chunked(said, spelt(b"a", b"b", b"c", b"d"))
    assert found.chunk_N.tolist() == [0, ABSENT, 1, ABSENT]
    assert found.chunk_logp_C.tolist() == [-0.5, -0.5]


def test_types_and_shapes_are_those_that_a_batch_takes() -> None:
    found = aligned([told(b"a", x=-1.0), told(b"bc", -2.0)], spelt(b"a", b"b", b"c", b"<|im_end|>"), bias=0.1)
    assert (found.ids_NK.dtype, found.logp_NK.dtype) == (np.int32, np.float32)
    assert (found.sampled_N.dtype, found.chunk_N.dtype, found.chunk_logp_C.dtype) == (np.int32, np.int32, np.float32)
    assert found.ids_NK.shape == found.logp_NK.shape == (4, 2)
    assert (len(found.sampled_N), len(found.chunk_N), len(found.chunk_logp_C)) == (4, 4, 1)


# --- the end of a turn


@pytest.mark.parametrize("mark", [b"", b"<|im_end|>", b"</s>", "<｜end▁of▁turn｜>".encode(), b"[EOS]"])  # noqa: RUF001
def test_the_teacher_s_end_is_the_student_s_wherever_it_is_listed(mark: bytes) -> None:
    said = [
        listing(b"a", -0.5, [(b"a", -0.5), (mark, -1.0)]),
        listing(mark, -0.1, [(mark, -0.1), (b"b", -3.0)]),
    ]
    found = aligned(said, spelt(b"a", b"<|im_end|>"))
    assert lists(found) == [{b"a": -0.5, b"<|im_end|>": -1.0}, {b"<|im_end|>": -0.1, b"b": -3.0}]
    assert (found.sampled_N != ABSENT).all()
    assert found.same
    parts = chunked(said, spelt(b"a", b"<|im_end|>"))
    assert parts.chunk_N.tolist() == [0, 1]
    assert parts.chunk_logp_C == pytest.approx([-0.5, -0.1])


def test_no_bytes_are_the_end_where_the_row_does_not_show_it() -> None:
    said = [listing(b"a", -0.5, [(b"a", -0.5), (b"", -1.0), (b"</s>", -2.0)])]
    found = aligned(said, spelt(b"a", b"<|im_end|>"))
    assert lists(found) == [{b"a": -0.5, b"<|im_end|>": -1.0}, {}]
    assert (found.sampled_N != ABSENT).tolist() == [True, False]
    assert chunked(said, spelt(b"a", b"<|im_end|>")).chunk_N.tolist() == [0, ABSENT]
    assert found.same


def test_the_end_is_the_token_that_ends_this_answer_or_the_first_that_may() -> None:
    said = [listing(b"a", -0.5, [(b"a", -0.5), (b"", -1.0)])]
    stops = (OTHER_STOP, STOP)
    whole = aligned(said, spelt(b"a", b"<|im_end|>"), stop_ids=stops)
    assert lists(whole)[0] == {b"a": -0.5, b"<|im_end|>": -1.0}
    assert lists(aligned(said, spelt(b"a"), stop_ids=stops))[0] == {b"a": -0.5, b"<|im_start|>": -1.0}


def test_an_answer_that_ends_with_a_tag_has_not_ended_with_it() -> None:
    said = [listing(b"<b>", -0.5, [(b"<b>", -0.5), (b"", -1.0)])]
    found = aligned(said, spelt(b"<", b"b", b">", b"<|im_end|>"))
    assert lists(found) == [{b"<|im_end|>": -1.0}, {}, {}, {}]
    assert chunked(said, spelt(b"<", b"b", b">", b"<|im_end|>")).chunk_N.tolist() == [0, 0, 0, ABSENT]


# --- what belongs to another answer


@pytest.mark.parametrize(
    "pieces",
    [[b"a", b"c"], [b"a"], [b"a", b"bc"], [b"a", b"b", b"c"], [b"a", b"b", b"</s>", b"</s>"], [b"b"], [b"</s>"], [b""]],
)
def test_what_spells_another_text_is_refused(pieces: list[bytes]) -> None:
    said = [told(piece) for piece in pieces]
    assert align(said, spelt(b"a", b"b", b"<|im_end|>"), BYTES, stop_ids=(STOP,), most=None) is Unaligned.OTHER_TEXT


# --- a first space that the teacher's decoder strips


def test_a_first_space_that_the_answer_lacks_is_taken_off_all_that_is_listed_there() -> None:
    top = [(b" a", -0.5), (b"a", -2.0), (b" b", -1.5), (b"c", -3.0), (b" ", -2.5), (b"</s>", -4.0)]
    said = [listing(b" a", -0.5, top), told(b" ", c=-2.0), told(b"b"), told(b"</s>")]
    found = aligned(said, spelt(b"a", b" ", b"b", b"<|im_end|>"))
    both = round(math.log(math.exp(-0.5) + math.exp(-2.0)), 3)
    # A space alone is no token of the answer, and not the end of the turn either.
    assert lists(found)[0] == {b"a": both, b"b": -1.5, b"c": -3.0, b"<|im_end|>": -4.0}
    assert lists(found)[1:] == [{b" ": -0.5, b"c": -2.0}, {b"b": -0.5}, {b"<|im_end|>": -0.5}]
    assert found.sampled_N.tolist() == spelt(b"a", b" ", b"b", b"<|im_end|>")
    assert found.same
    parts = chunked(said, spelt(b"a", b" ", b"b", b"<|im_end|>"))
    assert parts.chunk_logp_C == pytest.approx([-0.5] * 4)


def test_a_student_whose_template_says_that_space_has_it_back() -> None:
    said = [told(b" a", **{" b": -1.0}), told(b"b")]
    found = aligned(said, spelt(b" ", b"a", b"b", b"<|im_end|>"), before=b" ")
    assert lists(found) == [{}, {b"a": -0.5, b"b": -1.0}, {b"b": -0.5}, {}]


def test_of_a_cut_answer_the_first_space_is_taken_off_too() -> None:
    found = aligned([told(b" a"), told(b"b"), told(b"c")], spelt(b"a", b"b"))
    assert lists(found) == [{b"a": -0.5}, {b"b": -0.5}]


@pytest.mark.parametrize("pieces", [[b"  a"], [b" "], [b"", b" a"], [b" b"], [b" ", b"a"]], ids=str)
def test_no_other_space_is_taken_off(pieces: list[bytes]) -> None:
    said = [told(piece) for piece in pieces]
    assert align(said, spelt(b"a", b"<|im_end|>"), BYTES, stop_ids=(STOP,), most=None) is Unaligned.OTHER_TEXT
    assert aligned([told(b" "), told(b"a")], spelt(b" ", b"a", b"<|im_end|>")).same


# --- white space that was stripped from the answer's end


@pytest.mark.parametrize("blanks", [[b"\n"], [b" ", b"\n\n"], ["\u2003".encode()], [b" \t"]], ids=str)
@pytest.mark.parametrize("end", [[b"</s>"], [b""], []], ids=str)
def test_an_answer_without_its_last_white_space_keeps_what_was_said_before_that(
    blanks: list[bytes], end: list[bytes]
) -> None:
    said = [told(b"a", b=-1.0), told(b"b", c=-2.0), *(told(piece, c=-3.0) for piece in [*blanks, *end])]
    found = aligned(said, spelt(b"a", b"b", b"<|im_end|>"))
    assert lists(found) == [{b"a": -0.5, b"b": -1.0}, {b"b": -0.5, b"c": -2.0}, {}]  # the end stood behind the blanks
    assert chunked(said, spelt(b"a", b"b", b"<|im_end|>")).chunk_N.tolist() == [0, 1, ABSENT]
    assert found.same


def test_of_a_token_that_ends_in_stripped_white_space_nothing_is_told() -> None:
    said = [told(b"a", **{"</s>": -1.0}), told(b"bc\n", d=-1.0), told(b"\n"), told(b"</s>")]
    found = aligned(said, spelt(b"a", b"b", b"c", b"<|im_end|>"))
    assert lists(found) == [{b"a": -0.5, b"<|im_end|>": -1.0}, {}, {}, {}]
    assert chunked(said, spelt(b"a", b"b", b"c", b"<|im_end|>")).chunk_N.tolist() == [0, ABSENT, ABSENT, ABSENT]


def test_first_and_last_white_space_may_both_have_been_stripped() -> None:
    found = aligned([told(b" a"), told(b"b"), told(b"\n"), told(b"")], spelt(b"a", b"b", b"<|im_end|>"))
    assert lists(found) == [{b"a": -0.5}, {b"b": -0.5}, {}]


@any_student
@given(rows(), st.text(" \n\t\u2003", min_size=1, max_size=4), CHANCES)
@often
def test_stripped_white_space_hides_the_last_tokens_and_changes_nothing_before(
    name: str, row: tuple[str, Told], blanks: str, chance: random.Random
) -> None:
    text, said = row
    assume(text and text == text.rstrip())
    mine = student(name, text)
    whole, part = aligned(said, **mine), aligned([*said[:-1], said_of(blanks.encode(), chance), said[-1]], **mine)
    assert np.array_equal(part.ids_NK[:-1], whole.ids_NK[:-1, : part.ids_NK.shape[1]])
    assert (part.ids_NK[-1] == ABSENT).all()
    assert np.array_equal(part.sampled_N, whole.sampled_N)
    assert part.same is whole.same


@pytest.mark.parametrize("pieces", [[b"a", b"c", b"\n"], [b"\n"], [b"a", b"b", b"\n", b"c"], [b"a\n"]], ids=str)
def test_no_other_end_is_taken_off(pieces: list[bytes]) -> None:
    said = [told(piece) for piece in [*pieces, b"</s>"]]
    assert align(said, spelt(b"a", b"b", b"<|im_end|>"), BYTES, stop_ids=(STOP,), most=None) is Unaligned.OTHER_TEXT


def test_white_space_that_the_answer_has_is_there() -> None:
    found = aligned([told(b"a"), told(b"\n"), told(b"</s>")], spelt(b"a", b"\n", b"<|im_end|>"))
    assert lists(found) == [{b"a": -0.5}, {b"\n": -0.5}, {b"<|im_end|>": -0.5}]


def test_text_that_the_student_s_tokenizer_changes_is_refused() -> None:
    mine = student("smollm2", "a\nb")
    said = [told(b"a\n"), told(b"\x04b")]  # of which it has no token, and which it leaves out
    assert align(said, most=None, **mine) is Unaligned.OTHER_TEXT
    unknown = mine | {"ids": [mine["ids"][0], 10**6, mine["ids"][-1]]}
    assert align([told(b"a")], most=None, **unknown) is Unaligned.OTHER_TEXT


@pytest.mark.parametrize("said", [None, []])
def test_without_logprobs_there_is_nothing_to_align(said: Any) -> None:
    assert align(said, spelt(b"a"), BYTES, stop_ids=(STOP,), most=None) is Unaligned.NO_LOGPROBS
    assert str(Unaligned.NO_LOGPROBS) == "no_logprobs"


def test_an_answer_cut_inside_a_token_of_the_teacher_keeps_what_is_before() -> None:
    said = [told(b"a"), told(b"bcd", b=-1.0), told(b"e"), told(b"</s>")]
    found = aligned(said, spelt(b"a", b"b", b"c"))
    assert lists(found) == [{b"a": -0.5}, {b"b": -1.0}, {}]
    assert chunked(said, spelt(b"a", b"b", b"c")).chunk_N.tolist() == [0, ABSENT, ABSENT]
    assert not found.same
    assert align(said, spelt(b"a", b"x"), BYTES, stop_ids=(STOP,), most=None) is Unaligned.OTHER_TEXT


# --- what the student's template has it say before


def test_a_thought_that_the_student_closes_first_has_nothing_from_the_teacher() -> None:
    said = [told(b"a", b=-1.0), told(b"")]
    found = aligned(said, spelt(b"x", b"\n\n", b"a", b"<|im_end|>"), before=b"x\n\n")
    assert lists(found) == [{}, {}, {b"a": -0.5, b"b": -1.0}, {b"<|im_end|>": -0.5}]
    parts = chunked(said, spelt(b"x", b"\n\n", b"a", b"<|im_end|>"), before=b"x\n\n")
    assert parts.chunk_N.tolist() == [ABSENT, ABSENT, 0, 1]
    assert (found.sampled_N != ABSENT).tolist() == [False, False, True, True]
    assert found.same


def test_a_token_that_begins_before_the_answer_is_compared_with_the_same_bytes_before_the_teacher_s() -> None:
    said = [told(b"a", **{"\n": -1.0, "": -2.0}), told(b"b")]
    found = aligned(said, spelt(b"\n\n", b"a", b"b", b"<|im_end|>"), before=b"\n\n")
    assert lists(found)[1] == {b"a": -0.5, b"\n": -1.0, b"<|im_end|>": -2.0}
    torn = aligned([told(b"\n", **{"": -2.0}), told(b"b")], spelt(b"\n\n", b"b", b"<|im_end|>"), before=b"\n")
    assert lists(torn) == [{b"\n\n": -0.5, b"<|im_end|>": -2.0}, {b"b": -0.5}, {}]
    assert torn.same
    assert (
        align([told(b"b")], spelt(b"a", b"b"), BYTES, stop_ids=(STOP,), most=None, before=b"c") is Unaligned.OTHER_TEXT
    )


# --- tokens whose bytes nobody knows


def test_tokens_of_unknown_bytes_are_one_chunk_and_the_first_one_s_place_is_asked_about() -> None:
    said = [
        told(b"a"),
        listing(None, -1.0, [(None, -1.0), (b"b", -2.0)]),  # type: ignore[arg-type,list-item]
        listing(None, -0.25, [(b"c", -2.0)]),  # type: ignore[arg-type]
        told(b"d"),
        told(b"</s>"),
    ]
    found = aligned(said, spelt(b"a", b"\xc3", b"\xa9", b"d", b"<|im_end|>"))
    assert lists(found) == [{b"a": -0.5}, {b"b": -2.0}, {}, {b"d": -0.5}, {b"<|im_end|>": -0.5}]
    assert (found.sampled_N != ABSENT).tolist() == [True, False, False, True, True]
    parts = chunked(said, spelt(b"a", b"\xc3", b"\xa9", b"d", b"<|im_end|>"))
    assert parts.chunk_N.tolist() == [0, 1, 1, 2, 3]
    assert parts.chunk_logp_C == pytest.approx([-0.5, -1.25, -0.5, -0.5])
    assert not found.same


@any_student
@given(rows(), CHANCES)
@often
def test_bytes_that_nobody_knows_take_away_and_change_nothing(
    name: str, row: tuple[str, Told], chance: random.Random
) -> None:
    text, said = row
    mine = student(name, text)
    hidden = [token | {"bytes": None} if chance.random() < 0.3 else token for token in said[:-1]]
    whole, part = aligned(said, **mine), aligned([*hidden, said[-1]], **mine)
    for place in range(len(mine["ids"])):
        if (part.ids_NK[place] != ABSENT).any():
            listed = part.ids_NK[place][part.ids_NK[place] != ABSENT].tolist()
            assert listed == whole.ids_NK[place][: len(listed)].tolist()
            assert whole.logp_NK[place, : len(listed)].tolist() == part.logp_NK[place, : len(listed)].tolist()
    assert not ((part.sampled_N != ABSENT) & (part.sampled_N != whole.sampled_N)).any()
    whole, part = chunked(said, **mine), chunked([*hidden, said[-1]], **mine)
    assert part.chunk_logp_C.sum(dtype=np.float64) == pytest.approx(whole.chunk_logp_C.sum(dtype=np.float64), rel=1e-5)
    # Its chunks are made of whole ones.
    pairs = set(zip(whole.chunk_N.tolist(), part.chunk_N.tolist(), strict=True))
    assert len(pairs) == len(set(whole.chunk_N.tolist()))
