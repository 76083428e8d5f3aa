"""date_in_text: a field of the answer is an ISO date that the seed's text states.

Dates are read with their year of four digits: 2024-03-05, 2024/03/05, March 5, 2024, Mar. 5 2024, 5 March 2024,
5-Mar-2024, the 5th of March 2024, 25/03/2024. Where day and month could be swapped (03/05/2024) the text proves neither
reading, so such a date counts only once the setting `day_first` says which one is meant.
"""

import re
from collections.abc import Mapping
from datetime import date

from harvester.records import Json
from harvester.verify.base import Failed, quote
from harvester.verify.fields import field_kind
from harvester.verify.settings import Setting

_ISO = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    r"|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\b\.?"
)
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_GAP = r"(?:[ \t\u00a0\u202f]{1,3}|-)"
# Spans are found by their form first: handed whole sentences, dateutil takes amounts and order numbers for years.
DATE = re.compile(
    rf"""(?<![\d.,/-])(?:
      (?P<year_first>\d{{4}}(?P<s>[-/.])\d{{1,2}}(?P=s)\d{{1,2}})
    | (?P<year_last>\d{{1,2}}(?P<t>[-/.])\d{{1,2}}(?P=t)\d{{4}})
    | (?P<day_month>{_DAY}(?:[ ]of)?{_GAP}{_MONTH},?{_GAP}\d{{4}})
    )(?!\d|[-/]\d)
    | \b(?P<month_day>{_MONTH}{_GAP}{_DAY},?{_GAP}\d{{4}})(?!\d|[-/]\d)""",
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)


def dates_in(text: str, *, day_first: bool | None = None) -> tuple[set[date], list[str]]:
    """The dates that a text states, and the spans that could be two dates or are none (31 February)."""
    found: set[date] = set()
    unclear: list[str] = []
    for match in DATE.finditer(text):
        readings = _readings(match, day_first)
        if len(readings) == 1:
            found |= readings
        else:
            unclear.append(match.group())
    return found, unclear


def _readings(match: re.Match[str], day_first: bool | None) -> set[date]:
    from dateutil import parser  # noqa: PLC0415 - only recipes with dates should pay for it

    orders = {False}
    if match["year_last"]:
        orders = {False, True} if day_first is None else {day_first}
    readings = set()
    for order in orders:
        try:
            # It swaps day and month by itself where only one order is a date.
            readings.add(parser.parse(match.group(), dayfirst=order).date())
        except (ValueError, OverflowError):
            continue
    return readings


def _compare(value: Json, text: str, settings: Mapping[str, Json]) -> None:
    day = _iso_date(value)
    if day is None:
        raise Failed(f"{settings['field']} is not a date like 2024-03-05 but {quote(value)}")
    found, unclear = dates_in(text, day_first=settings.get("day_first"))
    if day not in found:
        doubt = f" (not clear: {quote(unclear[0])}; see day_first)" if unclear else ""
        raise Failed(f"{settings['field']} {quote(value)} is no date in {settings['source']}{doubt}")


def _iso_date(value: Json) -> date | None:
    if not isinstance(value, str) or not _ISO.fullmatch(value):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


DATE_IN_TEXT = field_kind("date_in_text", _compare, {"day_first": Setting(bool)})
