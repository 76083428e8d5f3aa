r"""The unit after a number: 900 ml, 12\text{ cm}^2, $120, 45^\circ, 7 apples.

In a value that stands alone a unit is one of the table below, or words that are no product of variables: apart from
their number and of three letters or more, or of another script than Latin and Greek. In a sentence only the table's
count, as any word may follow a number there. Units are compared and never converted: 1 l and 1000 ml differ.
"""

import re
import unicodedata
from functools import cache

from harvester.verify.everyday_numbers import MAGNITUDES

Unit = frozenset[str]
"""The words of a unit, each in one form: `900 mL of water` → {ml, wate}."""

_SPELLINGS = """
mm millimeter millimetre
cm centimeter centimetre
m meter metre
km kilometer kilometre
in inch inche
ft foot feet
yd yard
mi mile
mg milligram
g gram gramme
kg kilogram kilo
t ton tonne
lb pound
oz ounce
ml milliliter millilitre
cl centiliter centilitre
l liter litre
s sec second
ms millisecond
min minute
h hr hour
day
week
month
yr year
° degree
% percent
$ dollar usd
€ euro eur
£ gbp
¥ yen jpy
₹ rupee inr
¢ cent
n newton
j joule
kj kilojoule
w watt
kw kilowatt
hz hertz
km/h kph kmh
mi/h mph
°c celsius
°f fahrenheit
"""
_FORMS = {word: line.split()[0] for line in _SPELLINGS.split("\n") for word in line.split()}
_POWERS = {"square": "²", "sq": "²", "cubic": "³", "cu": "³"}
_FILLING = {"of", "the", "a", "an"}
_PARTS = """
half halves third thirds fourth fourths fifth fifths sixth sixths eighth eighths tenth tenths hundredth hundredths
thousandth thousandths millionth millionths squared cubed factorial
"""
_OTHER_NUMBERS = {*MAGNITUDES, *_PARTS.split()}
"""Words that make another number of the one before them: 3 halves are not 3."""

LONGEST = 300
STEM = 4
"""Letters by which words that are not in the table are compared: apple, apples."""
SHORTEST = 3
"""Letters of a word that is no product of variables."""
_WRITTEN = (
    (re.compile(r"\\(?:text|textrm|textbf|mathrm|mathit|operatorname|mbox)\s*\{([^{}]*)\}"), r" \1"),
    (re.compile(r"\^\s*(?:\\circ(?![a-z])|\{\s*\\circ\s*\})|\\degree(?![a-z])"), "°"),
    (re.compile(r"°\s+(?=[CF]\b)"), "°"),
    (re.compile(r"\\([$%])"), r"\1"),
    (re.compile(r"\\[,;:! ]|~"), " "),
    (re.compile(r"(?<=[^\W\d_])\s*\^\s*(?:2(?!\d)|\{\s*2\s*\})"), "²"),
    (re.compile(r"(?<=[^\W\d_])\s*\^\s*(?:3(?!\d)|\{\s*3\s*\})"), "³"),
)
_SIGN = re.compile(r"^\s*(-?)\s*(?:US)?([$€£¥₹]|USD|EUR|GBP|JPY|INR)\s*(?=[-0-9.\\])")
_TAIL = re.compile(r"(?<![^\W\d_])(?<!\\)(?:[^\W\d_]|[\s/²³°%$€£¥₹¢.])+$")
_VALUE = re.compile(r"(?:[0-9})\]]|\\pi)$")
_NUMBER = re.compile(r"(?P<sign>[$€£¥₹]?)\s?(?<![\w^{.,/])-?[0-9][0-9.,/]*(?P<close>\$?)")
_FIRST_WORD = re.compile(r"\s*([^\s.,;:!?()]+)")
_PER = re.compile(r"\s*(?:/|\bper\b)\s*")


def split(text: str) -> tuple[str, Unit | None]:
    """A value that may have a unit → (the value, its unit); (the text, None) where it has none."""
    if len(text) > LONGEST:
        return text, None
    value = _simply_written(text)
    sign = _SIGN.match(value)
    value = _SIGN.sub(r"\1", value)
    unit = frozenset({_FORMS[sign[2].lower()]}) if sign else None
    tail = _TAIL.search(value)
    head = value[: tail.start()].rstrip() if tail else ""
    if tail and _VALUE.search(head) and (after := _unit(tail[0], apart=tail[0][0].isspace())):
        unit = after if unit is None else unit | after
        value = head + "\\%" if "%" in after else head
    return (text, None) if unit is None else (value.replace("²", "^2").replace("³", "^3"), unit)


def after_last_number(text: str) -> Unit | None:
    """The unit of the table, or the sign of money, that stands by a text's last number."""
    *_, found = (None, *_NUMBER.finditer(text))
    if found is None:
        return None
    word = _FIRST_WORD.match(_simply_written(text[found.end() : found.end() + LONGEST]))
    form = _known(word[1]) if word else None
    if form and form != "in":  # more often a word than an inch
        return frozenset({form})
    sign = "" if found["sign"] == found["close"] == "$" else found["sign"] or found["close"]  # $7$ is a formula
    return frozenset(sign) or None


def agree(unit: Unit | None, expected: Unit | None) -> bool:
    """Whether a value with one unit may stand for a value with another: one of them has none, or they are the same."""
    mine, its = unit or frozenset(), expected or frozenset()
    if mine & _OTHER_NUMBERS != its & _OTHER_NUMBERS:
        return False
    return mine <= its or its <= mine


def _simply_written(text: str) -> str:
    for pattern, form in _WRITTEN:
        text = pattern.sub(form, text)
    return text


def _unit(tail: str, *, apart: bool) -> Unit | None:
    """What follows a number as a unit; None where a word of it may be a variable."""
    forms, power = set[str](), ""
    for word in _PER.sub("/", tail.strip(" .")).split():
        if word.lower() in _POWERS:
            power = _POWERS[word.lower()]
        elif word.lower() not in _FILLING:
            form = _form(word + power, apart=apart)
            if form is None:
                return None
            forms.add(form)
            apart, power = True, ""
    return frozenset(forms) or None


def _form(word: str, *, apart: bool) -> str | None:
    """A unit's word in one form; `apart` says whether a space parts it from its number, as 5 m is and 5m is not."""
    known = _known(word)
    if known and (apart or len(word) > 1 or not word.isalpha()):
        return known
    if (apart and len(word) >= SHORTEST) or any(map(_foreign, word)):
        return word.casefold()[:STEM]
    return None


def _known(word: str) -> str | None:
    folded = word.casefold()
    if folded in _OTHER_NUMBERS:
        return folded
    base = folded.rstrip("²³")
    forms = [_FORMS.get(part) or _FORMS.get(part.removesuffix("s")) for part in base.split("/") if part]
    known = [form for form in forms if form]
    if not known or len(known) < len(forms):
        return None
    return "/" * base.startswith("/") + "/".join(known) + folded[len(base) :]


@cache
def _foreign(letter: str) -> bool:
    return letter.isalpha() and not unicodedata.name(letter, "").startswith(("LATIN", "GREEK"))
