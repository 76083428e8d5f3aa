"""copied_span: a field of the answer stands word for word in the seed's text."""

import unicodedata
from collections.abc import Mapping

from harvester.records import Json
from harvester.verify.base import Failed, quote
from harvester.verify.fields import field_kind


def fold(text: str) -> str:
    """One form for texts that look alike: composed letters, single spaces, none at the ends; case is kept."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _compare(value: Json, text: str, settings: Mapping[str, Json]) -> None:
    if not isinstance(value, str):
        raise Failed(f"{settings['field']} is not text but {quote(value)}")
    span = fold(value)
    if not any(letter.isalnum() for letter in span):
        raise Failed(f"{settings['field']} is empty")
    if not stands_in(span, fold(text)):
        raise Failed(f"{settings['field']} {quote(value)} does not stand in {settings['source']}")


def stands_in(span: str, text: str) -> bool:
    """Whether a span stands in a text without beginning or ending inside a word."""
    return end_of(span, text) is not None


def end_of(span: str, text: str, begin: int = 0) -> int | None:
    """Where the first such place of a span, from `begin` on, ends; None where there is none."""
    start = text.find(span, begin)
    while start >= 0:
        end = start + len(span)
        cut_before = start > 0 and _inside_word(text[start - 1], text[start])
        cut_after = end < len(text) and _inside_word(text[end - 1], text[end])
        if not (cut_before or cut_after):
            return end
        start = text.find(span, start + 1)
    return None


def _inside_word(left: str, right: str) -> bool:
    """Whether a cut between two characters splits a word: "Lin" is no span of "Lindqvist".

    Scripts without upper and lower case (Chinese, Thai…) often write no spaces, so there any cut will do.
    """
    return all(c.isdigit() or c.lower() != c.upper() for c in (left, right))


COPIED_SPAN = field_kind("copied_span", _compare)
