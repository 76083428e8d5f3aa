"""citations: every quotation in the answer stands in the seed's source, and there are enough of them.

With `field` the answer is JSON, and the field holds the quotations: a list of texts, or one. Without it the
quotations are what stands in quotation marks (“…”, "…", «…», „…“, 「…」, 『…』) and is at least `min_words` words long:
shorter ones are more often names and terms than quotations.

Quotations and source are compared word for word, with white space, quotation marks, apostrophes, dashes and the dots
of an ellipsis in one form each, soft hyphens taken out, and without the punctuation at a quotation's ends, which
belongs as often to the sentence around it. So does the case of its first letter, which may be the other one.

A quotation may be shortened by an ellipsis (…, ..., […], (...)): its parts must stand in the source one after the
other, each at least PART_WORDS words long, so that no words are picked from anywhere. In Chinese and Japanese every
character counts as a word (see `length`), so there it is as many characters.
"""

import re
from collections.abc import Mapping
from typing import Any

from harvester.records import Json
from harvester.verify.answers import answer_field, seed_text
from harvester.verify.base import Failed, Judge, quote
from harvester.verify.copied_span import end_of, fold, stands_in
from harvester.verify.length import words_in
from harvester.verify.settings import Setting, SettingsKind

SETTINGS = {
    "source": Setting(str, missing="name the seed's field that is quoted from"),
    "field": Setting(str),
    "min": Setting(int, default=1),
    "min_words": Setting(int, default=3),
}

# Straight marks open and close alike, so a stray one (5" pipes) would pair with the next quotation's: one line at most.
_QUOTED = re.compile(r'“([^“”]*)”|„([^„“”]*)[“”]|«([^«»]*)»|»([^«»]*)«|「([^「」]*)」|『([^『』]*)』|"([^"\n]*)"')
_ONE_FORM = str.maketrans(
    {
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033", '"'),
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032`", "'"),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        "\u2026": "...",
        "\u00ad": None,
    }
)
_ENDS = " .,;:!?'\""
_ELLIPSIS = re.compile(r" ?(?:\[ ?\.(?: ?\.){2,} ?\]|\( ?\.(?: ?\.){2,} ?\)|\.(?: ?\.){2,}) ?")
PART_WORDS = 3


def spans_in(text: str, min_words: int) -> list[str]:
    """The quotations of a text that are at least so many words long."""
    found = ["".join(part for part in match.groups() if part) for match in _QUOTED.finditer(text)]
    return [span for span in found if words_in(span) >= min_words]


def _form(text: str) -> str:
    return fold(text.translate(_ONE_FORM))


def _stated(answer: str, field: str) -> list[str]:
    value = answer_field(answer, field)
    values = value if isinstance(value, list) else [value]
    for one in values:
        if not isinstance(one, str):
            raise Failed(f"{field} holds no text but {quote(one)}")
    return values


def _begun(words: str) -> tuple[str, str]:
    """A quotation with its first letter as it is, and in the other case."""
    return words, words[:1].swapcase() + words[1:]


def _require_parts(span: str, words: str, source: str, name: str) -> None:
    """What an ellipsis leaves of a quotation stands in the source, in its order."""
    parts = [part for one in _ELLIPSIS.split(words) if (part := one.strip(_ENDS))]
    end = 0
    for number, part in enumerate(parts):
        if len(parts) > 1 and words_in(part) < PART_WORDS:
            raise Failed(f"{quote(span)}: {quote(part)} is too short beside an ellipsis; {PART_WORDS} words are needed")
        forms = (part,) if number else _begun(part)
        ends = [found for form in forms if (found := end_of(form, source, end)) is not None]
        if not ends:
            raise Failed(f"{quote(span)} does not stand in {name}")
        end = min(ends)


def _judge(settings: Mapping[str, Any]) -> Judge:
    field = settings.get("field")

    def judge(answer: str, seed: Mapping[str, Json]) -> None:
        spans = spans_in(answer, settings["min_words"]) if field is None else _stated(answer, field)
        if len(spans) < settings["min"]:
            raise Failed(f"{len(spans)} quotations, fewer than {settings['min']}")
        source = _form(seed_text(seed, settings["source"]))
        for span in spans:
            words = _form(span).strip(_ENDS)
            if not any(letter.isalnum() for letter in words):
                raise Failed(f"{quote(span)} is no quotation")
            if not any(stands_in(form, source) for form in _begun(words)):
                _require_parts(span, words, source, settings["source"])

    return judge


CITATIONS = SettingsKind("citations", SETTINGS, "{source: …}", _judge, seed_settings=("source",))
