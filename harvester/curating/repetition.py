"""repetition: the teacher fell into a loop, and the answer or its reasoning says one thing until it ends.

- **loop**: a text ends in one unit (a token, line, sentence or paragraph) that stands there LEAST_TIMES times or more
  in a row and fills LEAST_BYTES. Numbers of list items do not count as a difference: models loop through 11., 12., 13.
- **low variety**: LEAST_COMPRESSED bytes or more, neither code nor data, shrink to MOST_RATIO of their size: a loop
  with small changes.

All is by characters and bytes, so words need no spaces: 240 bytes are 40 words of English or 80 Chinese characters.
A refrain, three equal paragraphs or a row of dashes pass; so does a loop in closed code (its fence ends the text), and
one that the prompt itself spells out, where the teacher came to an end by itself.

The ratio: of 8,106 pieces of 1 to 4 kB of prose, manuals, licences, source code, JSON and CSV three were under 0.12,
all three tables of constants; answers of a small model that looped were at 0.06 to 0.12, its others over 0.29.
"""

import re
import zlib

from harvester.curating.base import Drop, Example
from harvester.curating.parts import written

LEAST_TIMES = 4
LEAST_BYTES = 240
LEAST_BYTES_WITHOUT_LETTERS = 1_000
"""Zeros of a matrix, a line of dots."""
LEAST_COMPRESSED = 1_000
"""Shorter texts shrink too little to tell."""
MOST_RATIO = 0.1

_PROBE = 16
_TRIES = 16
_NUMBERING = re.compile(r"^[#*\- \t]*\d+(?:[.):][ \t]*|\Z)", re.MULTILINE)
_CODE = re.compile(r"^[ \t]*```.*?^[ \t]*```", re.MULTILINE | re.DOTALL)
_SQL = re.compile(r"^[ \t]*(?:INSERT INTO|VALUES|\()[^\n]*[;,)][ \t]*$", re.MULTILINE | re.IGNORECASE)
_EDGES = " \t\n.,!?;:\"'*-。、！？"  # noqa: RUF001 - full-width marks


class Repetition:
    """Drops answers that loop."""

    name = "repetition"

    def look(self, example: Example) -> Drop | None:
        """The first loop."""
        for part, text in written(example):
            unit, times = loop(text)
            if unit and not (example.finish_reason == "stop" and _asked_for(unit, example.prompt)):
                return Drop("repetition", {"part": part, "kind": "loop", "characters": len(unit), "times": times})
            ratio = _ratio(text)
            if ratio < MOST_RATIO:
                return Drop("repetition", {"part": part, "kind": "low variety", "ratio": round(ratio, 3)})
        return None


def loop(text: str) -> tuple[str, int]:
    """(the unit in which a text ends over and over, how many times); empty where it does not."""
    text = text.rstrip()
    found = _tail(text)
    if not found[0] and text.count("\n") >= LEAST_TIMES:
        found = _tail(_NUMBERING.sub("", text).rstrip())
    return found


def _tail(text: str) -> tuple[str, int]:
    if len(text) * 4 < LEAST_BYTES:  # a character has four bytes at most
        return "", 0
    end, place = text[-_PROBE:], len(text) - _PROBE
    for _ in range(_TRIES):
        place = text.rfind(end, 0, place + _PROBE - 1)  # where the end of the text stood before
        period = len(text) - _PROBE - place
        if place < 0 or period * LEAST_TIMES > len(text):
            break
        unit = text[-period:]
        if text.endswith(unit * _least_times(unit)):
            return unit, _times(text, unit)
    return "", 0


def _least_times(unit: str) -> int:
    least = LEAST_BYTES if any(map(str.isalpha, unit)) else LEAST_BYTES_WITHOUT_LETTERS
    return max(LEAST_TIMES, -(-least // len(unit.encode("utf-8", "replace"))))


def _times(text: str, unit: str) -> int:
    times, place = 0, len(text) - len(unit)
    while place >= 0 and text.startswith(unit, place):
        times, place = times + 1, place - len(unit)
    return times


def _asked_for(unit: str, prompt: str) -> bool:
    said = unit.strip(_EDGES).casefold()
    return bool(said) and said in prompt.casefold()


def _ratio(text: str) -> float:
    if len(text) * 4 < LEAST_COMPRESSED or text.lstrip().startswith(
        ("{", "[", "<")
    ):  # data names its fields again and again
        return 1.0
    if "```" in text:
        text = _CODE.sub("", text)
    if "INSERT INTO" in text.upper():  # rows, and no fence around them
        text = _SQL.sub("", text)
    raw = text.encode("utf-8", "replace")
    if len(raw) < LEAST_COMPRESSED or not _recurs(text):
        return 1.0
    return len(zlib.compress(raw)) / len(raw)


def _recurs(text: str) -> bool:
    """Whether a piece from the middle stands elsewhere too: where it does not, compressing is not worth its time."""
    middle = len(text) // 2
    return text.count(text[middle : middle + _PROBE]) > 1 or text.count(text[middle // 2 : middle // 2 + _PROBE]) > 1
