"""Where in an answer each of a teacher's tokens begins, though of some nobody knows the bytes.

Servers that decode a token by itself have no text for one that ends inside a character, so the dataset has none either
(docs/design/005-dataset.md). What stands between such tokens is found in the answer, and counts where it can stand in
one place only.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

END = b"\xff<end of turn>"
"""Stands for the token that ends a turn; no token has these bytes, as no text does."""
END_MARK = re.compile(rb"(<.+>|\[.+\])?", re.DOTALL)
"""How APIs spell that token: <|im_end|>, </s>, [EOS] or, as llama.cpp does, with no bytes at all."""

UNKNOWN = -9999.0
"""What OpenAI gives as log-probability of a token that is not among those it ranks."""
Said = Sequence[Mapping[str, Any]]
"""A row's `logprobs`: each token's `bytes` and `logprob`, and `top`: the same of those listed beside it, as lists.

Bytes are null where nobody knows them.
"""
Piece = bytes | None
"""A token's bytes; None where nobody knows them. It has some, but for a last one, which may be the end of the turn."""
Begins = list[int | None]
"""The byte that each of some tokens begins at and, behind the last, the one that it ends at; None where not known."""
SPACE = b" "


def without_first_space(said: Said, answer: bytes) -> Said:
    """What was said of an answer whose first space was stripped: SentencePiece's decoder does, and so do servers.

    The first token and those listed at its place spell the answer then without the space that they begin with. One that
    is this space alone has no bytes left, like the end of a turn, which it is not: nobody knows its bytes.

    Args:
        said: a row's `logprobs`, one token at least.
        answer: what they should spell.

    Returns:
        As given where the answer begins with that space, or the first token does not begin with one or is no more.
    """
    first = said[0]
    spelt = first["bytes"] or b""
    if not answer or answer.startswith(SPACE) or not spelt.startswith(SPACE) or spelt == SPACE:
        return said
    listed = [None if piece in {None, SPACE} else piece.removeprefix(SPACE) for piece in first["top"]["bytes"]]
    return [{**first, "bytes": spelt[1:], "top": {**first["top"], "bytes": listed}}, *said[1:]]


def without_last_space(said: Said) -> Said:
    """What was said of an answer whose last white space was stripped: tokens of white space at the end are left out.

    A token that ends in white space is shortened. Of that token, and of the one that ends the turn, nothing is told any
    more: what the teacher said of them is of another text, and the end of its turn stood behind white space.

    Returns:
        As given where nothing but white space was said, or it does not end with any.
    """
    last = said[-1]["bytes"]
    ended = last is not None and END_MARK.fullmatch(last) is not None
    body, end = (said[:-1], said[-1:]) if ended else (said, [])
    spaces = 0
    while spaces < len(body) and _stripped(body[-1 - spaces]["bytes"]) == b"":
        spaces += 1
    kept = body[: len(body) - spaces]
    if not kept:
        return said
    spelt = _stripped(kept[-1]["bytes"])
    if spelt != kept[-1]["bytes"]:
        kept = [*kept[:-1], _untold(kept[-1], spelt)]
    elif not spaces:
        return said
    return [*kept, *(_untold(token, token["bytes"]) for token in end)]


def _stripped(piece: Piece) -> Piece:
    """Without white space at the end, as Python knows it; what is no text stays."""
    return None if piece is None else piece.decode(errors="surrogateescape").rstrip().encode(errors="surrogateescape")


def _untold(token: Mapping[str, Any], piece: Piece) -> Mapping[str, Any]:
    return {**token, "bytes": piece, "logprob": UNKNOWN, "top": {"bytes": [], "logprob": []}}


def place(pieces: Sequence[Piece], answer: bytes) -> tuple[list[Piece], Begins] | None:
    """Find the tokens of a turn in its answer.

    Args:
        pieces: all that the teacher said, with the token that ended its turn if the API gave it.
        answer: the whole of what they should spell, without the end of the turn.

    Returns:
        The tokens, with END for the one that ends the turn, and where they begin; None where they spell another text.
    """
    if pieces[-1] != b"" and (begins := _begins(pieces, answer)) is not None:
        return list(pieces), begins
    if pieces[-1] is None or not END_MARK.fullmatch(pieces[-1]):
        return None
    begins = _begins(pieces[:-1], answer)
    if begins is None:
        return None
    begins[-1] = len(answer)
    return [*pieces[:-1], END], [*begins, len(answer) + len(END)]


def place_beginning(pieces: Sequence[Piece], answer: bytes) -> tuple[list[Piece], Begins] | None:
    """As `place`, where the answer's end was cut off. After the first token that nobody knows, none has a place."""
    known: list[bytes] = []
    for piece in pieces:
        if piece is None:
            break
        known.append(piece)
    text = b"".join(known)
    if not (text.startswith(answer) or (len(known) < len(pieces) and answer.startswith(text))):
        return None
    begins: Begins = [*accumulate(map(len, known), initial=0), *[None] * (len(pieces) - len(known))]
    last, begin = pieces[-1], begins[-2]
    if last is not None and END_MARK.fullmatch(last) and (begin is None or begin >= len(answer)):
        return [*pieces[:-1], END], begins
    return list(pieces), begins


def _begins(pieces: Sequence[Piece], answer: bytes) -> Begins | None:
    """Where tokens begin that are all of an answer; None where they spell another text."""
    runs, gaps = _runs_and_gaps(pieces)
    texts = [b"".join(run) for run in runs]
    least = [gap or None for gap in gaps]
    if gaps[-1]:
        least[-1] = gaps[-1] - 1  # the last token may be the end of the turn, which has no bytes here
    first = _leftmost(texts, least, answer)
    mirrored = _leftmost([text[::-1] for text in reversed(texts)], least[::-1], answer[::-1])
    if first is None or mirrored is None:
        return None
    begins: Begins = [0, *[None] * len(pieces)]
    at = 0
    for run, gap, place_, back in zip(runs, gaps, first, reversed(mirrored), strict=False):
        at += gap
        ends = [*accumulate(map(len, run), initial=place_)]
        if ends[-1] == len(answer) - back:  # the first place where it can stand is the last one
            begins[at : at + len(ends)] = ends
        at += len(run)
    if pieces and pieces[-1] is None and begins[-2] is not None:
        begins[-1] = len(answer)
    return begins


def _runs_and_gaps(pieces: Sequence[Piece]) -> tuple[list[list[bytes]], list[int]]:
    """Tokens with known bytes that stand together, and how many unknown ones are before, between and behind them."""
    runs: list[list[bytes]] = []
    gaps = [0]
    for piece in pieces:
        if piece is None:
            gaps[-1] += 1
        elif runs and not gaps[-1]:
            runs[-1].append(piece)
        else:
            runs.append([piece])
            gaps.append(0)
    return runs, gaps


def _leftmost(runs: Sequence[bytes], least: Sequence[int | None], text: bytes) -> list[int] | None:
    """The first places where runs can stand one behind the other; None where they cannot.

    Args:
        runs: what stands there.
        least: bytes that stand before, between and behind them at least; None: none may.
        text: where they stand.
    """
    places: list[int] = []
    at = 0
    for run, gap in zip(runs, least, strict=False):
        found = text.find(run, at + gap) if gap is not None else 0 if text.startswith(run) else -1
        if found < 0:
            return None
        places.append(found)
        at = found + len(run)
    if least[-1] is not None:
        return places if at + least[-1] <= len(text) else None
    if at < len(text):  # the last run stands at the end, which may be further on
        if len(least) == 1 or least[-2] is None or not text.endswith(runs[-1]):
            return None
        places[-1] = len(text) - len(runs[-1])
    return places
