"""What teachers said of texts, and students as published to align it with. A helper, not a package."""

import random
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import pytest
import real_tokenizers as real
from hypothesis import settings
from hypothesis import strategies as st
from toys import make_tokenizer

from finetune.alignment import Aligned, align
from finetune.token_bytes import Vocabulary

Told = list[dict[str, Any]]
BYTES = Vocabulary.of(make_tokenizer())  # each byte is a token, and two newlines
STOP, OTHER_STOP = BYTES.by_bytes[b"<|im_end|>"], BYTES.by_bytes[b"<|im_start|>"]


def told(piece: bytes, logprob: float = -0.5, **others: float) -> dict[str, Any]:
    """A token as the API gave it, listed first, with others beside it."""
    return listing(piece, logprob, [(piece, logprob), *((other.encode(), value) for other, value in others.items())])


def listing(piece: bytes, logprob: float, top: Sequence[tuple[bytes, float]]) -> dict[str, Any]:
    return {
        "bytes": piece,
        "logprob": logprob,
        "top": {"bytes": [one for one, _ in top], "logprob": [value for _, value in top]},
    }


def spelt(*pieces: bytes) -> list[int]:
    """Ids of tokens of the toy vocabulary, one each."""
    return [BYTES.by_bytes[piece] for piece in pieces]


def aligned(said: Any, ids: Sequence[int], most: int | None = None, **more: Any) -> Aligned:
    found = align(said, ids, more.pop("vocabulary", BYTES), stop_ids=more.pop("stop_ids", (STOP,)), most=most, **more)
    assert isinstance(found, Aligned)
    return found


def chunked(said: Told, ids: Sequence[int], **more: Any) -> Aligned:
    """The same where nothing is listed and every boundary counts: all is in chunks."""
    return aligned([listing(token["bytes"], token["logprob"], []) for token in said], ids, bias=1.0, **more)


def lists(found: Aligned, vocabulary: Vocabulary = BYTES) -> list[dict[bytes | None, float]]:
    """Per position the listed tokens with their log-probabilities, likeliest first."""
    return [
        {vocabulary.bytes_of(int(token)): round(float(p), 3) for token, p in zip(ids, logp, strict=True) if token >= 0}
        for ids, logp in zip(found.ids_NK, found.logp_NK, strict=True)
    ]


CHANCES = st.integers(0, 9999).map(random.Random)  # cheaper by far than hypothesis' own for many numbers


@st.composite
def cuts(draw: st.DrawFn, text: str) -> list[bytes]:
    """The text's bytes in pieces, anywhere: inside characters, too."""
    data = text.encode()
    places = sorted(draw(st.sets(st.integers(1, max(1, len(data) - 1)), max_size=len(data))))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True) if a < b]


def by_student(name: str) -> Callable[[str], list[bytes]]:
    """The tokens of one of the students; a text's own bytes alone."""
    return lambda text: [real.vocabulary(name).by_id[token] for token in real.ids(name, text)]


TEACHERS: dict[str, Callable[[str], list[bytes]]] = {
    "tekken": real.tekken,
    "smollm2": by_student("smollm2"),
    "gemma": by_student("gemma"),
    "letters": lambda text: [letter.encode() for letter in text],
    "whole": lambda text: [text.encode()] if text else [],
}
PIECES = [b"a", b" the", b"\n", b"\xe2", b"0", b" 20", b"</s>", "ك".encode(), b"no token of anyone"]


@st.composite
def rows(draw: st.DrawFn, end: bytes = b"</s>") -> tuple[str, Told]:
    """A text and how a teacher said it, to the end of its turn."""
    text, chance = draw(real.TEXT), draw(CHANCES)
    cut = draw(st.sampled_from([None, *TEACHERS]))
    pieces = draw(cuts(text)) if cut is None else TEACHERS[cut](text)
    return text, [said_of(piece, chance) for piece in [*pieces, end]]


def said_of(piece: bytes, chance: random.Random) -> dict[str, Any]:
    """A sampled token and what is listed: itself, which need not be the likeliest, and up to four others."""
    others = chance.sample([one for one in PIECES if one != piece], chance.randrange(5))
    top = [(one, -chance.uniform(0.01, 9)) for one in [piece, *others]]
    return listing(piece, top[0][1], top)


def student(name: str, text: str) -> dict[str, Any]:
    """The arguments of `align` that are the student's, for a text with its end of turn."""
    ids, vocabulary = real.ids(name, text), real.vocabulary(name)
    stop = real.STUDENTS[name]().eos_token_id
    before = b"".join(vocabulary.by_id[token] for token in ids).removesuffix(text.encode())
    assert before in {b"", b" "}
    return {"ids": [*ids, stop], "vocabulary": vocabulary, "stop_ids": [stop], "before": before}


def begins(pieces: Sequence[bytes]) -> list[int]:
    return [*accumulate(map(len, pieces), initial=0)]


def own_begins(mine: dict[str, Any]) -> list[int | None]:
    """The byte of the answer that each of the student's tokens begins at, and the end's; None: before the answer."""
    tokens, skip = [mine["vocabulary"].by_id[token] for token in mine["ids"][:-1]], len(mine["before"])
    starts = begins(tokens)
    found: list[int | None] = []
    for start, token in zip(starts, [*tokens, b"end"], strict=True):
        found.append(max(0, start - skip) if start + len(token) > skip else None)
    return found


any_student = pytest.mark.parametrize("name", real.STUDENTS)
often = settings(deadline=None, max_examples=25)
