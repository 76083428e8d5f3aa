"""The teacher's distributions over the student's tokens, as Axolotl's plugin for distillation reads them.

Its loss compares the k-th last entry of `logprobs` with what the student says at the k-th last token of the rendered
conversation, which is about the token after it (axolotl 0.19: integrations/kd, chat_template.py and kernels/liger.py).
So the entries stand one token to the left of what they are about, and the last one is about nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harvester.exporting.formats.records import LeftOutError, Record, Row
from harvester.exporting.formats.student_tokens import StudentTokens

FLOOR = -30.0
"""Natural logarithm of what no token has less of: at zero Axolotl's loss would be no number."""
NO_LOGPROBS, OTHER_TOKENS, OTHER_TEXT = "no_logprobs", "other_tokens", "other_text"
"""Why a row has no soft labels: the API gave none; the student cuts the answer otherwise; its template changes it."""
Listed = dict[int, float]


@dataclass(frozen=True, slots=True)
class SoftLabels:
    """Makes records for one student."""

    student: StudentTokens

    @classmethod
    def read(cls, path: Path) -> "SoftLabels":
        """For the student whose tokenizer lies in a folder.

        Raises:
            BadInput: it cannot be used.
        """
        return cls(StudentTokens.read(path))

    def record(self, row: Row) -> Record:
        """A row with a distribution for each token from the answer's first one to the conversation's end.

        Where the API listed nothing (the template's own tokens after the answer) the token itself has it all. What was
        listed and is no token of the student is left out.

        Raises:
            LeftOutError: the teacher's tokens are not the student's.
        """
        if not row["logprobs"] or not any(token["top"]["bytes"] for token in row["logprobs"]):
            raise LeftOutError(NO_LOGPROBS)
        answer, after = self._tokens(row)
        tokens = answer + after
        targets = [self._listed(said, ending=after[0]) for said in row["logprobs"]]
        targets += [{}] * (len(tokens) - len(targets))
        most = max(map(len, targets))
        whole = [_filled(target, token, most) for target, token in zip(targets, tokens, strict=True)]
        whole.append(_filled({}, tokens[-1], most))  # about what would follow the end
        return {
            "messages": row["messages"],
            "logprobs": [[logprob for _, logprob in target] for target in whole],
            "target_token_ids": [[token for token, _ in target] for target in whole],
            "row_id": row["row_id"],
        }

    def _tokens(self, row: Row) -> tuple[list[int], list[int]]:
        """The student's tokens of the answer and those after it; the answer's are the teacher's, byte for byte."""
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
        return ids[begin:end], ids[end:]

    def _listed(self, said: Mapping[str, Any], ending: int) -> Listed:
        """Token → logprob of what the API listed for a place, as far as the student has such tokens."""
        found: Listed = {}
        for piece, logprob in zip(said["top"]["bytes"], said["top"]["logprob"], strict=True):
            if piece is None:  # nobody knows which token it is
                continue
            number = self.student.by_bytes.get(piece) if piece else ending
            if number is not None:
                found.setdefault(number, max(logprob, FLOOR))
        return found


def _place(pieces: Sequence[bytes], length: int) -> int | None:
    """The number of tokens that make up the first bytes; None where a token crosses the border."""
    so_far = 0
    for place, piece in enumerate(pieces):
        if so_far >= length:
            return place if so_far == length else None
        so_far += len(piece)
    return len(pieces) if so_far == length else None


def _filled(listed: Listed, token: int, most: int) -> list[tuple[int, float]]:
    """As many (token, logprob) as everywhere, likeliest first; where there is none, the token itself is certain."""
    known = listed or {token: 0.0}
    # As good as impossible: any other tokens do.
    others = [number for number in range(2 * most) if number not in known][: most - len(known)]
    likeliest = sorted(known.items(), key=lambda one: (-one[1], one[0]))
    return [*likeliest, *((number, FLOOR) for number in others)]
