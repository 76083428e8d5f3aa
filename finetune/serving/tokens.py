"""Tokens as replies name them: their bytes, and a text for each, be it half a character."""

from collections.abc import Callable
from typing import Any

from finetune.errors import BadInput
from finetune.token_bytes import Vocabulary

Spell = Callable[[int], bytes]


def speller(tokenizer: Any) -> Spell:
    """Token id → its bytes; none for an id without a token (embeddings may be padded).

    Where the tokenizer's tokens are not spelt as bytes, those of the text that it decodes to by itself.
    """
    try:
        vocabulary = Vocabulary.of(tokenizer)
    except BadInput:
        return lambda token: str(tokenizer.decode([token])).encode()
    return lambda token: vocabulary.bytes_of(token) or b""


def readable(spelt: bytes) -> str:
    r"""Bytes as text; each as \xNN where they are no whole characters, so that different tokens stay different."""
    try:
        return spelt.decode()
    except UnicodeDecodeError:
        return "".join(f"\\x{byte:02x}" for byte in spelt)
