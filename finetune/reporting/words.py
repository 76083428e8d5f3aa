"""Numbers and results in plain words."""

import math
import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

NOT_RECORDED = "not recorded"
NOT_SET = "not set"
"""A setting whose null stands for what the program chooses."""
GAP = "\u00a0"
"""Between a number and its unit: they stay on one line."""
MINUS = "\u2212"
"""As wide as a plus, and no hyphen that a line may break at."""
TITLES = {
    "base": "Base model",
    "base_instruction": "Base + instruction",
    "teacher": "Teacher",
    "student": "Student",
    "unfiltered": "Student, unfiltered",
}
_SMALL = 0.01
_HOUR = 60.0
_UNSHOWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def title(arm: str) -> str:
    """An arm's name for people."""
    return TITLES.get(arm, arm)


def clean(value: Any) -> Any:
    """A text without what HTML cannot carry: control characters become their pictures, half characters U+FFFD."""
    if not isinstance(value, str):
        return value
    shown = _UNSHOWABLE.sub(lambda found: _picture(ord(found[0])), value)
    return Markup(shown) if isinstance(value, Markup) else shown  # noqa: S704 - it was markup before


def _picture(code: int) -> str:
    if code < ord(" "):
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"  # noqa: PLR2004 - DEL


def percent(share: float | None, digits: int = 1) -> str:
    """0.5 → 50.0 %."""
    return NOT_RECORDED if share is None else f"{number(100 * share, digits)}{GAP}%"


def span(interval: tuple[float, float] | None, digits: int = 1) -> str:
    """(0.1, 0.2) → 10.0 % to 20.0 %."""
    return NOT_RECORDED if interval is None else f"{percent(interval[0], digits)} to {percent(interval[1], digits)}"


def points(share: float, digits: int = 1) -> str:
    """A difference of scores: 0.125 → +12.5."""
    value = round(100 * share, digits) + 0.0
    return f"{'+' if value > 0 else ''}{number(value, digits)}"


def points_span(interval: tuple[float, float] | None) -> str:
    """(-0.1, 0.2) → -10.0 to +20.0."""
    return NOT_RECORDED if interval is None else f"{points(interval[0])} to {points(interval[1])}"


def usd(value: float | None) -> str:
    """Dollars, with more digits the smaller they are."""
    if value is None:
        return NOT_RECORDED
    return f"{value:,.{2 if value == 0 or abs(value) >= 1 else 4 if abs(value) >= _SMALL else 6}f}{GAP}USD"


def minutes(value: float | None) -> str:
    """Minutes up to an hour, hours from there on."""
    if value is None:
        return NOT_RECORDED
    return f"{value:,.1f}{GAP}min" if value < _HOUR else f"{value / _HOUR:,.1f}{GAP}h"


def plain(value: Any, missing: str = NOT_RECORDED) -> str:
    """Any JSON value on one line; `missing` stands for a null."""
    if value is None:
        return missing
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _plain_number(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{label(name)} {plain(inner, missing)}" for name, inner in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(plain(inner, missing) for inner in value) or "none"
    return str(value)


def _plain_number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.6g}" if abs(value) >= 1 or value == 0 else f"{value:.4g}"


def ascii_spaces(text: str) -> str:
    """A text for a terminal: plain spaces and hyphens, which people search and copy."""
    return text.replace(GAP, " ").replace(MINUS, "-")


def label(name: Any) -> str:
    """A key of a JSON file as words."""
    return str(name).replace("_", " ")


def number(value: float, digits: int) -> str:
    """With so many digits after the point, and a minus that is one."""
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    return f"{value:,.{digits}f}".replace("-", MINUS)
