"""Which boundaries and lists of another tokenizer are compared, on published ones: by hand and by brute force."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import real_tokenizers as real
from hypothesis import given, settings
from tellings import (
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
    student,
    told,
)

from finetune.alignment import Aligned
from finetune.boundaries import BIASED
from finetune.listings import ABSENT
from finetune.token_bytes import Vocabulary


def said_so(*tokens: tuple[str, Mapping[str, float]]) -> Told:
    """Tokens that a teacher said, each with probabilities of what was listed there, itself among them."""
    return [
        listing(
            piece.encode(), math.log(top[piece]), [(other.encode(), math.log(p)) for other, p in top.items()]
        )
        for piece, top in tokens
    ]  # fmt: skip


def compared(name: str, said: Told) -> tuple[list[set[str]], list[str]]:
    """The texts that are listed at each of a student's tokens, and the tokens of each chunk with bars between them."""
    mine = student(name, b"".join(token["bytes"] for token in said).decode())
    found = aligned(said, bias=BIASED, **mine)
    vocabulary = mine["vocabulary"]
    listed = [{(piece or b"").decode() for piece in one} for one in lists(found, vocabulary)]
    chunks: list[list[str]] = [[] for _ in found.chunk_logp_C]
    for token, chunk in zip(mine["ids"], found.chunk_N.tolist(), strict=True):
        if chunk != ABSENT:
            chunks[chunk].append(vocabulary.by_id[token].decode())
    return listed[:-1], ["|".join(tokens) for tokens in chunks]


# --- boundaries


@pytest.mark.parametrize(("p", "counts"), [(0.3, False), (0.05, True)])
def test_a_boundary_that_the_student_would_not_have_before_what_else_was_likely_does_not_count(
    p: float, counts: bool
) -> None:
    said = said_so((" th", {" th": 0.6, " a": 0.2}), (" is", {" is": 0.6, "e": p, "x": 0.1}))
    listed, chunks = compared("gemma", said)  # whose " th" and "e" are one token
    assert listed == ([{" th", " a"}, {" is", "e", "x"}] if counts else [{" a"}, set()])
    assert chunks == ([] if counts else [" th| is"])


@pytest.mark.parametrize(("longer", "counts"), [(" theqqq", False), (" them", True)])
def test_a_boundary_that_the_teacher_would_not_have_had_after_what_else_was_likely_does_not_count(
    longer: str, counts: bool
) -> None:
    said = said_so((" the", {" the": 0.5, longer: 0.2, " a": 0.1}), (" man", {" man": 0.9}))
    listed, chunks = compared("gemma", said)  # which says " the" first of what is no token of its own
    assert listed == ([{" the", longer, " a"}, {" man"}] if counts else [{" a"}, set()])
    assert chunks == ([] if counts else [" the| man"])


def test_a_text_that_does_have_a_boundary_is_no_reason_against_it() -> None:
    said = said_so(("a", {"a": 0.9}), ("20", {"20": 0.9}), ("24", {"24": 0.9}), (".", {".": 0.9}))
    assert compared("smollm2", said) == ([{"a"}, set(), set(), set(), set(), {"."}], ["2|0", "2|4"])


def test_the_end_of_a_turn_moves_no_boundary() -> None:
    said = said_so((" th", {" th": 0.4, "</s>": 0.6}), ("an", {"an": 0.1, "</s>": 0.8}))
    said = [*said, listing(b"</s>", -0.1, [(b"</s>", -0.1)])]
    mine = student("gemma", " than")
    assert len(mine["ids"]) == 2
    found = aligned(said, bias=BIASED, **mine)
    assert lists(found, mine["vocabulary"]) == [{b"</s>": -0.511}, {b"</s>": -0.1}]
    assert found.chunk_N.tolist() == [0, ABSENT]


# --- lists


def test_what_begins_the_text_is_left_to_the_bucket_where_the_two_part_it_otherwise() -> None:
    digits = said_so(("2024", {"2024": 0.5, "2": 0.1, "7": 0.1, "the": 0.1}), (".", {".": 0.9, ",": 0.1}))
    assert compared("smollm2", digits) == ([{"7", "the"}, set(), set(), set(), {".", ","}], ["2|0|2|4"])
    word = said_so((" th", {" th": 0.5, " the": 0.1, " a": 0.2}), ("e", {"e": 0.8, "is": 0.1}))
    assert compared("gemma", word) == ([{" a"}], [" the"])


@pytest.mark.parametrize(("p", "kept"), [(0.3, {"7", "19"}), (0.002, {"7", "1", "19"})])
def test_what_begins_other_likely_tokens_is_left_to_the_bucket(p: float, kept: set[str]) -> None:
    said = said_so(("7", {"7": 0.5, "1": 0.1, "19": p}), (".", {".": 0.9}))
    said[1]["bytes"] = b".\n\n\n\n."  # what makes it another tokenizer
    said[1]["top"] = {"bytes": [b"."], "logprob": [-0.1]}
    listed, _ = compared("smollm2", said)
    assert listed[0] == kept - {"19"}  # which is none of the student's tokens


def test_white_space_is_compared_where_runs_of_both_begin_and_end() -> None:
    said = said_so(
        (":", {":": 0.9, ",": 0.1}), ("\n", {"\n": 0.6, "\n\n": 0.2, " ": 0.1}), ("    ", {"    ": 0.9}),
        ("return", {"return": 0.9}), ("\n", {"\n": 0.9}),
    )  # fmt: skip
    # SmolLM2 leaves the last space of a run to the word behind it.
    assert compared("smollm2", said) == ([{":", ","}, {"\n\n", " "}, set(), {"\n"}], ["\n   | return"])
    said = said_so(("a", {"a": 0.9}), ("  ", {"  ": 0.6, " b": 0.3}), ("  ", {"  ": 0.5, "c": 0.3}), ("b", {"b": 0.9}))
    assert compared("gemma", said) == ([{"a"}, {" b"}, {"b"}], ["    "])


# --- any text


@any_student
@given(real.TEXT)
@often
def test_with_the_student_s_own_tokens_and_no_others_lists_say_all(name: str, text: str) -> None:
    mine = student(name, text)
    said = [told(mine["vocabulary"].by_id[token]) for token in mine["ids"]]
    mine["before"] = b""
    plain, found = aligned(said, **mine), aligned(said, bias=BIASED, **mine)
    assert np.array_equal(found.ids_NK, plain.ids_NK)
    assert np.array_equal(found.logp_NK, plain.logp_NK)
    assert (found.chunk_N == ABSENT).all()


@any_student
@given(rows())
@settings(often, max_examples=60)
def test_what_is_compared_is_what_the_formulas_say(name: str, row: tuple[str, Told]) -> None:
    text, said = row
    mine = student(name, text)
    found, every = aligned(said, bias=BIASED, **mine), chunked(said, **mine)
    edges = boundaries(said, mine)
    kept = [edges[0], *(edge for edge in edges[1:] if counts(said, mine, *edge))]
    plain = aligned(said, **mine)
    for (own, at), (end, last) in pairwise(kept):
        one_token = (end, last) == (own + 1, at + 1)
        wanted = wanted_list(plain, said, mine, own, at, one_token=one_token) if at < len(said) else {}
        assert listed_at(found, own) == wanted
        chunk = set(found.chunk_N[own:end].tolist())
        assert len(chunk) == 1
        assert (chunk == {ABSENT}) is (one_token and bool(wanted))
        if ABSENT not in chunk:
            logprob = sum(token["logprob"] for token in said[at:last])
            assert found.chunk_logp_C[chunk.pop()] == pytest.approx(logprob, rel=1e-5)
    taken = {own for own, _ in kept}
    assert all(not listed_at(found, own) for own in range(len(mine["ids"])) if own not in taken)
    assert len(found.chunk_logp_C) <= len(every.chunk_logp_C)


def boundaries(said: Told, mine: dict[str, Any]) -> list[tuple[int, int]]:
    """Tokens of student and teacher that begin at the same byte, the ends of both included."""
    theirs: dict[int, int] = {}
    for at, begin in enumerate(begins([token["bytes"] for token in said[:-1]])):
        theirs.setdefault(begin, at)
    ours = own_begins(mine)
    found = [(own, theirs[begin]) for own, begin in enumerate(ours) if begin is not None and begin in theirs]
    return [*found, (len(ours), len(said))]


def joins(vocabulary: Vocabulary, own: bytes, following: bytes) -> bool:
    return any(own + following[:length] in vocabulary.by_bytes for length in range(1, len(following) + 1))


def chances(token: dict[str, Any]) -> dict[bytes, float]:
    pairs = zip(token["top"]["bytes"], token["top"]["logprob"], strict=True)
    return {piece: math.exp(logprob) for piece, logprob in pairs if piece != b"</s>"}


def in_longer(vocabulary: Vocabulary, own: bytes, piece: bytes, listed: Mapping[bytes, float]) -> float:
    more = sum(
        p
        for other, p in listed.items()
        if other != piece and other.startswith(piece) and not joins(vocabulary, own, other.removeprefix(piece))
    )
    return more / (more + listed[piece]) if more else 0.0


def counts(said: Told, mine: dict[str, Any], own: int, at: int) -> bool:
    vocabulary: Vocabulary = mine["vocabulary"]
    last, before = vocabulary.by_id[mine["ids"][own - 1]], said[at - 1]
    if own == len(mine["ids"]):
        return True  # behind the end of the turn
    behind = chances(said[at])
    joined = sum(
        p for piece, p in behind.items() if piece != said[at]["bytes"] and joins(vocabulary, last, piece)
    )  # fmt: skip
    return joined <= BIASED and in_longer(vocabulary, last, before["bytes"], chances(before)) <= BIASED


def listed_at(found: Aligned, own: int) -> dict[int, float]:
    there = found.ids_NK[own] != ABSENT
    return dict(zip(found.ids_NK[own][there].tolist(), found.logp_NK[own][there].tolist(), strict=True))


def wanted_list(
    plain: Aligned, said: Told, mine: dict[str, Any], own: int, at: int, *, one_token: bool
) -> dict[int, float]:
    vocabulary: Vocabulary = mine["vocabulary"]
    following = b"".join(vocabulary.by_id[token] for token in mine["ids"][own:-1])
    ahead = mine["before"] if own == 0 else b""
    left = listed_at(plain, own)
    for piece in chances(said[at]):
        whole = ahead + piece
        begins_it = following.startswith(whole) or said[at]["bytes"].startswith(piece)
        if (begins_it and not one_token) or in_longer(vocabulary, whole, piece, chances(said[at])) > BIASED:
            left.pop(vocabulary.by_bytes.get(whole, ABSENT), None)
    return left
