"""A student's vocabulary by bytes: what a teacher's tokens, which come as bytes, are compared with."""

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finetune.errors import BadInput
from harvester.byte_letters import byte_letters

Spell = Callable[[str], bytes | None]
"""A token as the vocabulary writes it → its bytes; None where that is no spelling."""
BYTES_AS_HEX = {f"<0x{byte:02X}>": bytes([byte]) for byte in range(256)}
"""How SentencePiece writes the bytes of characters that it has no token for."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tokens and their bytes, both ways. No token has no bytes."""

    by_id: Mapping[int, bytes]
    by_bytes: Mapping[bytes, int]
    in_order: Sequence[bytes]

    @classmethod
    def of(cls, tokenizer: Any) -> "Vocabulary":
        """The vocabulary of a transformers tokenizer: byte-level BPE, or SentencePiece's with marks for spaces.

        Raises:
            BadInput: its tokens cannot be spelt as bytes.
        """
        inner = getattr(tokenizer, "backend_tokenizer", None)
        spell = None if inner is None else _spelling(inner)
        if spell is None:
            raise BadInput(
                f"--model {tokenizer.name_or_path}: its tokens cannot be spelt as bytes (neither byte-level BPE nor "
                "SentencePiece's in a tokenizer.json), so a teacher's are not found among them; use another model"
            )
        by_id: dict[int, bytes] = {}
        by_bytes: dict[bytes, int] = {}
        for tokens in _by_kind(inner, spell):
            by_id |= tokens
            by_bytes |= {piece: number for number, piece in sorted(tokens.items(), reverse=True)}
        return cls(by_id, by_bytes, sorted(by_bytes))

    def bytes_of(self, token: int) -> bytes | None:
        """A token's bytes; None where it has none or is no token."""
        return self.by_id.get(token)

    def id_of(self, piece: bytes) -> int | None:
        """The one token with exactly these bytes; None where there is none.

        Of several, what the tokenizer itself would take: one that was added and is not special (these are looked for in
        a text first), then a plain one, then a byte's fallback, then a special one; of equals the lowest id.
        """
        return self.by_bytes.get(piece)

    def goes_on(self, piece: bytes, following: bytes) -> bool:
        """Whether a token has these bytes and some of those that follow them."""
        for length in range(1, len(following) + 1):
            longer = piece + following[:length]
            if longer in self.by_bytes:
                return True
            at = bisect_left(self.in_order, longer)
            if at == len(self.in_order) or not self.in_order[at].startswith(longer):
                return False
        return False


def _by_kind(inner: Any, spell: Spell) -> tuple[dict[int, bytes], ...]:
    """Tokens with their bytes: special, fallback, plain, added."""
    special: dict[int, bytes] = {}
    fallback: dict[int, bytes] = {}
    plain: dict[int, bytes] = {}
    others: dict[int, bytes] = {}
    added = inner.get_added_tokens_decoder()
    byte_level = "ByteLevel" in _types(inner)
    for written, number in inner.get_vocab(with_added_tokens=True).items():
        piece = spell(written)
        if number in added:
            # Found in a text as it is written. SentencePiece's own symbols are the exception: they, too, mark spaces.
            literal = byte_level or added[number].special
            kind, piece = special if added[number].special else others, written.encode() if literal else piece
        else:
            kind = fallback if piece == BYTES_AS_HEX.get(written, b"") else plain
        if piece:
            kind[number] = piece
    return special, fallback, plain, others


def _spelling(inner: Any) -> Spell | None:
    """How the vocabulary writes bytes, by what undoes it; None where that is not known."""
    model = inner.model
    if getattr(model, "end_of_word_suffix", None) or getattr(model, "continuing_subword_prefix", None):
        return None  # what a token spells depends on its neighbours
    if "ByteLevel" in _types(inner):
        return _byte_level
    mark = next(filter(None, map(_mark_of_space, _parts(inner))), None)
    if mark is None:
        return None
    hexes = BYTES_AS_HEX if "ByteFallback" in _types(inner) else {}
    return lambda written: hexes.get(written) or written.replace(mark, " ").encode()


def _byte_level(written: str, letters: Mapping[str, int] = byte_letters()) -> bytes | None:
    try:
        return bytes([letters[letter] for letter in written])
    except KeyError:
        return None


def _mark_of_space(part: Mapping[str, Any]) -> str | None:
    if part["type"] == "Metaspace":
        return str(part["replacement"])
    if part["type"] == "Replace" and part["content"] == " ":
        mark: str | None = part["pattern"].get("String")
        return mark
    return None


def _types(inner: Any) -> set[str]:
    return {part["type"] for part in _parts(inner)}


def _parts(inner: Any) -> Iterator[Mapping[str, Any]]:
    """The settings of what cuts a text before the model and what joins its tokens again, sequences unfolded."""
    found = [json.loads(part.__getstate__()) for part in (inner.pre_tokenizer, inner.decoder) if part is not None]
    while found:
        part = found.pop(0)
        found += part.get("decoders") or part.get("pretokenizers") or []
        yield part
