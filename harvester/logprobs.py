"""Log probabilities of a reply's tokens: whether they came where they were asked for, and whose bytes are whose."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from harvester.parsing import parse_decoded
from harvester.records import Json, half_pair

REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()
_ESCAPED = re.compile(r"(?:bytes:)?(?:\\x[0-9a-fA-F]{2})+|<0x[0-9a-fA-F]{2}>")
"""How a text spells bytes that are no text."""
UNKNOWN, ROUNDING = -9999.0, 1e-3
"""Logarithms of probabilities. The first is what OpenAI says of a token that it does not rank; below it there is none,
and above 0 only what rounding adds."""


def asked(body: bytes) -> int | None:
    """How many tokens a request's body (canonical JSON) asks to be listed at each place; None: no log probabilities."""
    if b'"logprobs":' not in body:
        return None
    fields = json.loads(body)
    number = fields.get("logprobs")
    if number is True:
        return int(fields.get("top_logprobs", 0))
    return number if isinstance(number, int) and number is not False else None


def lacking(body: bytes, reply: Json) -> bool:
    """Whether a decoded reply lacks the log probabilities that its request asks for; an empty one lacks none."""
    listed = asked(body)
    if listed is None:
        return False
    answer = parse_decoded(reply)
    if not answer.text:
        return False
    tokens = answer.logprobs
    first = tokens[0] if isinstance(tokens, list) and tokens else None
    return not isinstance(first, dict) or "logprob" not in first or bool(listed and not first.get("top_logprobs"))


def read(tokens: Json) -> list[dict[str, Any]] | None:
    """A reply's tokens as the dataset holds them, or None where they are no such list.

    Bytes are as the API gave them, or the UTF-8 of the token's text; None where neither can be the token's own. Where a
    logprob is none (NaN, infinite, above 0), the token's own is UNKNOWN, and a token listed beside it is left out: what
    it has belongs to what was not listed.
    """
    if not isinstance(tokens, list):
        return None
    try:
        found, cut = [], False
        for token in tokens:
            own = _logprob(token)
            beside: Sequence[Mapping[str, Json]] = token.get("top_logprobs") or []
            listed = [(_bytes(other, after_a_part=cut), _logprob(other)) for other in beside]
            top = [(spelt, logprob) for spelt, logprob in listed if logprob is not None]
            found.append(
                {
                    "bytes": _bytes(token, after_a_part=cut),
                    "logprob": UNKNOWN if own is None else own,
                    "top": {"bytes": [spelt for spelt, _ in top], "logprob": [logprob for _, logprob in top]},
                }
            )
            cut = _is_part(token)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
    return found


def _logprob(token: Mapping[str, Any]) -> float | None:
    """A token's logprob; None where what the API gave is none."""
    value = float(token["logprob"])
    return value if UNKNOWN <= value <= ROUNDING else None


def _bytes(token: Mapping[str, Json], *, after_a_part: bool) -> bytes | None:
    """A token's bytes; None where they cannot be known.

    A token of some bytes of a character has no text. Where an API decodes it all the same it says U+FFFD; newer vLLM
    says nothing, and then the whole character at the token that completes it.
    """
    given = token.get("bytes")
    if given is not None:
        found = bytes(list(given))
    elif half_pair(text := str(token["token"])) or _ESCAPED.fullmatch(text):
        return None
    else:
        found = text.encode()
    if REPLACEMENT in found or (after_a_part and not found.isascii()) or (not found and "id" not in token):
        return None
    return found


def _is_part(token: Mapping[str, Json]) -> bool:
    """Whether it says nothing. With an id that is llama.cpp's end of an answer; without one part of a character."""
    return not (token.get("bytes") or token.get("token")) and "id" not in token
