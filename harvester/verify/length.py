"""length: the answer, or one text field of it, is neither too short nor too long.

Characters are code points of the composed text without white space at its ends. Words are those of Unicode's rules (UAX
29): a Chinese or Japanese ideograph is a word of its own, an apostrophe splits none, punctuation is no word.
"""

import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harvester.records import Json
from harvester.verify.answers import answer_text
from harvester.verify.base import BadSettings, Failed, Judge
from harvester.verify.settings import Setting, SettingsKind

BOUNDS = ("min_chars", "max_chars", "min_words", "max_words")
SETTINGS = {**{bound: Setting(int) for bound in BOUNDS}, "field": Setting(str)}


def words_in(text: str) -> int:
    """How many words a text has."""
    import regex  # noqa: PLC0415 - Python's own patterns know no Unicode word boundaries

    pieces = regex.splititer(r"\b", text, flags=regex.VERSION1 | regex.WORD)
    return sum(1 for piece in pieces if any(letter.isalnum() for letter in piece))


def _finish(settings: dict[str, Any], folder: Path, where: str) -> dict[str, Any]:  # noqa: ARG001 - see `Finish`
    if not any(bound in settings for bound in BOUNDS):
        raise BadSettings("", f"has no bound; state one of {', '.join(BOUNDS)}")
    for unit in ("chars", "words"):
        least, most = settings.get(f"min_{unit}", 0), settings.get(f"max_{unit}")
        if most is not None and most < least:
            raise BadSettings(f".max_{unit}", f"{most} is less than min_{unit} {least}; no answer could pass")
    return settings


def _judge(settings: Mapping[str, Any]) -> Judge:
    counts_words = "min_words" in settings or "max_words" in settings
    field = settings.get("field")

    def judge(answer: str, seed: Mapping[str, Json]) -> None:  # noqa: ARG001 - the common form of a verifier
        text = unicodedata.normalize("NFC", answer_text(answer, field)).strip()
        _within(len(text), "characters", settings.get("min_chars"), settings.get("max_chars"))
        if counts_words:
            _within(words_in(text), "words", settings.get("min_words"), settings.get("max_words"))

    return judge


def _within(found: int, unit: str, least: int | None, most: int | None) -> None:
    if least is not None and found < least:
        raise Failed(f"{found:,} {unit}, fewer than {least:,}")
    if most is not None and found > most:
        raise Failed(f"{found:,} {unit}, more than {most:,}")


LENGTH = SettingsKind("length", SETTINGS, "{min_words: 5, max_words: 200}", _judge, _finish)
