"""refusal: the answer does not refuse, and does not speak of itself as an AI.

The patterns are data (refusal.yaml): how refusals open, by language, and what gives a model away anywhere. They are
conservative: an answer that regrets something, or names a limit and goes on to answer, passes.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Any

from harvester.records import Json
from harvester.verify.base import Failed, Judge, quote
from harvester.verify.settings import SettingsKind

OPENING_CHARACTERS = 300
READ_CHARACTERS = 20_000
_MARKS = {"\u2019": "'", "\u2018": "'", "\u00b4": "'", "`": "'", "*": "", "_": "", '"': ""}
# NFKC would do these too, at thirty times the price for a whole text.
_WIDE = {
    "\uff0c": ",",
    "\uff01": "!",
    "\uff1f": "?",
    "\uff1a": ":",
    "\uff1b": ";",
    "\u3000": " ",
    "\xa0": " ",
    "\u2026": "...",
}
_REPLACED = tuple((_MARKS | _WIDE).items())
_START = 4  # letters of a clause, that say which phrases it may be
_MOST_KNOWN = 100_000  # such starts
# A clause begins where a sentence does, or after an apology.
_CLAUSES = re.compile(rf"(?:\A|[.!?:;,\n。、؟،؛।¡¿]\s*)(?=(.{{0,{_START}}}))", re.DOTALL)
_SPACE = re.compile(r"[^\S\n]+")


class Phrases:
    """Finds the phrases of some parts of refusal.yaml where a sentence or a clause begins."""

    def __init__(self, *parts: str) -> None:
        phrases = [one for part in parts for many in _data()[part].values() for one in many]
        self._likely = {"": tuple(phrases)}  # how a clause begins → the phrases that may begin so
        self._patterns: dict[str, re.Pattern[str]] = {}  # the same, where there are any

    def find(self, text: str) -> str | None:
        """The first of them in a text that is `plain`."""
        if len(self._likely) > _MOST_KNOWN:
            self._likely, self._patterns = {"": self._likely[""]}, {}
        # To try all phrases at every clause would take thirty times as long.
        starts = set(_CLAUSES.findall(text))
        for start in starts - self._likely.keys():
            self._learn(start)
        if starts.isdisjoint(self._patterns):
            return None
        for clause in _CLAUSES.finditer(text):
            pattern = self._patterns.get(clause[1])
            found = pattern.match(text, clause.end()) if pattern else None
            if found:
                return found[0]
        return None

    def at(self, text: str, place: int = 0) -> str | None:
        """The one that begins at a place."""
        start = text[place : place + _START]
        if start not in self._likely:
            self._learn(start)
        pattern = self._patterns.get(start)
        found = pattern.match(text, place) if pattern else None
        return found[0] if found else None

    def stand_in(self, text: str) -> bool:
        """Whether one of them is anywhere in a text, in the middle of a clause, too; slow."""
        return _any_of(self._likely[""]).search(text) is not None

    def _learn(self, start: str) -> None:
        import regex  # noqa: PLC0415 - only it can tell what may still become a match

        letter = start[:1]
        for known, longer in (("", letter), (letter, start)):
            if longer not in self._likely:
                likely = (one for one in self._likely[known] if regex.match(one, longer, partial=True))
                self._likely[longer] = tuple(likely)
        if start and self._likely[start]:
            self._patterns[start] = _any_of(self._likely[start])


@cache
def _any_of(phrases: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{one})" for one in phrases))


def plain(text: str) -> str:
    """A text as the patterns read it."""
    for mark, instead in _REPLACED:
        text = text.replace(mark, instead)
    text = unicodedata.normalize("NFKC", text).lower().strip()
    return _SPACE.sub(" ", text) if "  " in text or "\t" in text or "\r" in text else text


@cache
def _data() -> Any:
    from harvester.yaml_text import packaged  # noqa: PLC0415 - only recipes with this verifier should pay for YAML

    return packaged("verify/refusal.yaml")


def _judge(settings: Mapping[str, Any]) -> Judge:  # noqa: ARG001 - it has none
    opening, anywhere = Phrases("opening"), Phrases("anywhere")

    def judge(answer: str, seed: Mapping[str, Json]) -> None:  # noqa: ARG001 - the common form of a verifier
        text = plain(answer[:READ_CHARACTERS])
        said = opening.find(text[:OPENING_CHARACTERS]) or anywhere.find(text)
        if said:
            raise Failed(f"refuses: {quote(said)}")

    return judge


REFUSAL = SettingsKind("refusal", {}, "{}", _judge)
