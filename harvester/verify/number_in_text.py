"""number_in_text: a field of the answer is a number that the seed's text states.

How numbers in the text are read: 45, 45.00, .50, 1,250.50, 1.250,50, 1'250.50, 1 250,50, 45,50, 1.2k, -45, -$45.
A comma before exactly three digits groups them (1,250 is above a thousand), any other single comma is a decimal one; a
single point is always a decimal point (1.250 is one and a quarter). Digits with plain spaces between them are read
together and apart, since "1 250 euros" and "room 1 250 euros" look alike.

Not counted, because a careless answer picks them instead of the number that is meant: digits inside a date, times,
ordinals (5th), numbers after "#", and digits that continue a word (A4, INV-2044). A currency's code or sign and a unit
of up to three letters may touch the number (EUR45, 45kg).
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal

from harvester.records import Json
from harvester.verify.base import Failed, quote
from harvester.verify.date_in_text import DATE
from harvester.verify.fields import field_kind

_CODES = "USD|EUR|GBP|CHF|JPY|CNY|INR|BRL|ZAR|AUD|CAD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|TRY|MXN|KRW|SGD"
_HEAD = "[1-9][0-9]{0,2}"  # before the first grouped thousand
_CLOSE = "'\u2019\u00a0\u202f"  # these group digits and do nothing else (apostrophes, unbreakable spaces)
_MINUS = "-\u2212"
_POINT = "|".join(
    (
        rf"{_HEAD}(?:,[0-9]{{3}})+(?:\.[0-9]+)?",
        rf"{_HEAD}(?:[{_CLOSE}][0-9]{{3}})+(?:\.[0-9]+)?",
        r"[0-9]*\.[0-9]+",
        r"[0-9]+",
    )
)
_COMMA = "|".join(
    (
        rf"{_HEAD}(?:\.[0-9]{{3}})+,[0-9]+",
        rf"{_HEAD}(?:\.[0-9]{{3}}){{2,}}",
        rf"{_HEAD}(?:[{_CLOSE}][0-9]{{3}})+,[0-9]+",
        r"[0-9]+,[0-9]+",
    )
)


def _pattern(point: str, comma: str) -> re.Pattern[str]:
    """Numbers with a decimal point or with a decimal comma, in the surroundings that make them count."""
    return re.compile(
        rf"""(?P<minus>(?<![\w)])[{_MINUS}])?
        (?:(?<![\w#])(?<!\#[ ])(?<![^\W0-9][{_MINUS}])|(?<=\b(?:{_CODES})))   # continues no word, follows no "#"
        (?<![0-9][.,:{_CLOSE}])                                         # continues no number and no time
        [$€£¥]?(?:(?<=[$€£¥])(?P<inner_minus>[{_MINUS}]))?
        (?:(?P<point>{point})|(?P<comma>{comma}))
        (?P<kilo>[kK]\b)?
        (?![0-9]|[.,:{_CLOSE}][0-9]|st\b|nd\b|rd\b|th\b|[^\W0-9_]{{4}}|_)""",
        re.VERBOSE,
    )


_NUMBER = _pattern(_POINT, _COMMA)
_SPACED = _pattern(rf"{_HEAD}(?:[ ][0-9]{{3}})+(?:\.[0-9]+)?", rf"{_HEAD}(?:[ ][0-9]{{3}})+,[0-9]+")


def numbers_in(text: str) -> Iterator[Decimal]:
    """Every number that a text states, by the rules above."""
    without_dates = DATE.sub(lambda match: "\n" * len(match.group()), text)
    for pattern in (_NUMBER, _SPACED):
        for match in pattern.finditer(without_dates):
            yield _value(match)


def _value(match: re.Match[str]) -> Decimal:
    if match["comma"]:
        digits = re.sub(r"[^0-9,]", "", match["comma"]).replace(",", ".")
    else:
        digits = re.sub(r"[^0-9.]", "", match["point"])
    value = Decimal(digits) * (1000 if match["kilo"] else 1)
    return -value if match["minus"] or match["inner_minus"] else value


def _compare(value: Json, text: str, settings: Mapping[str, Json]) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Failed(f"{settings['field']} is not a number but {quote(value)}")
    # repr: 45.1 is the decimal number 45.1 here, not the binary one closest to it.
    if Decimal(repr(value)) not in set(numbers_in(text)):
        raise Failed(f"{settings['field']} {quote(value)} is no number in {settings['source']}")


NUMBER_IN_TEXT = field_kind("number_in_text", _compare)
