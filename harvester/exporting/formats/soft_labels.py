"""What the teacher said of an answer, at the student's own tokens: what every format of soft labels is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harvester.exporting.formats.records import LeftOutError, Row
from harvester.exporting.formats.student_tokens import StudentTokens

NO_LOGPROBS, OTHER_TOKENS, OTHER_TEXT = "no_logprobs", "other_tokens", "other_text"
"""Why a row has no soft labels: the API gave none; the student cuts the answer otherwise; its template changes it."""
Listed = dict[int, float]
"""Token → natural logarithm of its probability."""


@dataclass(frozen=True, slots=True)
class Taught:
    """A conversation in the student's tokens."""

    ids: list[int]
    begin: int  # the answer's first token
    end: int  # the one after its last, which ends it
    listed: list[Listed]  # for each of ids[begin:]; empty where the API listed nothing, as at the template's own tokens


@dataclass(frozen=True, slots=True)
class SoftLabels:
    """Finds what was said for one student."""

    student: StudentTokens

    @classmethod
    def read(cls, path: Path) -> "SoftLabels":
        """For the student whose tokenizer lies in a folder.

        Raises:
            BadInput: it cannot be used.
        """
        return cls(StudentTokens.read(path))

    def taught(self, row: Row) -> Taught:
        """A row's tokens and distributions. What was listed and is no token of the student is left out.

        Raises:
            LeftOutError: the teacher's tokens are not the student's.
        """
        said = row["logprobs"]
        if not said or not any(token["top"]["bytes"] for token in said):
            raise LeftOutError(NO_LOGPROBS)
        ids, begin, end = self._placed(row)
        listed = [self._listed(token, ending=ids[end]) for token in said]
        return Taught(ids, begin, end, listed + [{}] * (len(ids) - begin - len(listed)))

    def _placed(self, row: Row) -> tuple[list[int], int, int]:
        """The student's tokens, and where the answer's begin and end; these are the teacher's, byte for byte."""
        *prompt, answer = row["messages"]
        before, whole = self.student.render(prompt, begin_answer=True), self.student.render(row["messages"])
        if not whole.startswith(before + answer["content"]):
            raise LeftOutError(OTHER_TEXT)
        ids = self.student.ids(whole)
        pieces = [self.student.bytes_of.get(token, b"") for token in ids]
        if b"".join(pieces) != whole.encode():
            raise LeftOutError(OTHER_TEXT)
        begin = _place(pieces, len(before.encode()))
        end = _place(pieces, len((before + answer["content"]).encode()))
        said = [token["bytes"] for token in row["logprobs"]]
        if begin is None or end is None or pieces[begin:end] != said[: end - begin]:
            raise LeftOutError(OTHER_TOKENS)
        # At most the token that ends an answer follows, and llama.cpp spells it with no bytes at all.
        if end == len(ids) or said[end - begin :] not in ([], [b""], pieces[end : end + 1]):
            raise LeftOutError(OTHER_TOKENS)
        return ids, begin, end

    def _listed(self, said: Mapping[str, Any], ending: int) -> Listed:
        """Token → logprob of what the API listed for a place, as far as the student has such tokens."""
        found: Listed = {}
        for piece, logprob in zip(said["top"]["bytes"], said["top"]["logprob"], strict=True):
            if piece is None:  # nobody knows which token it is
                continue
            number = self.student.by_bytes.get(piece) if piece else ending
            if number is not None:
                found.setdefault(number, logprob)
        return found


def filled(listed: Listed, token: int, most: int, *, others: Sequence[int], floor: float) -> list[tuple[int, float]]:
    """A distribution as `most` pairs (token, logprob), likeliest first.

    Args:
        listed: as many tokens or fewer.
        token: is certain where nothing is listed.
        most: how many pairs.
        others: tokens to fill up with, each once; `most` of them at least.
        floor: the logprob of those, and of what is less likely.
    """
    known = listed or {token: 0.0}
    likeliest = sorted(((number, max(logprob, floor)) for number, logprob in known.items()), key=_rank)
    unlikely = [number for number in others[:most] if number not in known][: most - len(known)]
    return [*likeliest, *((number, floor) for number in unlikely)]


def _rank(pair: tuple[int, float]) -> tuple[float, int]:
    return -pair[1], pair[0]


def _place(pieces: Sequence[bytes], length: int) -> int | None:
    """The number of tokens that make up the first bytes; None where a token crosses the border."""
    so_far = 0
    for place, piece in enumerate(pieces):
        if so_far >= length:
            return place if so_far == length else None
        so_far += len(piece)
    return len(pieces) if so_far == length else None
