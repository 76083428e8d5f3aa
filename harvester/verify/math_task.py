"""What a worker does for the `math` verifier; math-verify and sympy are imported here only."""

import logging
import re

from harvester.verify import units
from harvester.verify.boxed import last_boxed
from harvester.verify.everyday_numbers import decimal_comma, plain

LONGEST = 20_000
Value = list[object]
"""What math-verify makes of a value: its readings as sympy's objects, then its text."""
_PI = re.compile(r"(?<![\\\w])pi\b|π")
_MONEY = re.compile(r"\\\$(?=\s?[0-9])")


def prepare() -> None:
    """Load math-verify, which takes a second."""
    import math_verify  # noqa: F401, PLC0415 - in the worker only

    logging.disable(logging.CRITICAL)  # it warns that its own timeouts are off: workers have theirs


def run(answer: str, expected: str) -> str | None:
    r"""Why the answer's final value is not the expected one; None where it is.

    The final value is that of the last \boxed{…}, else the last formula or number. What is expected may be LaTeX, with
    or without $ signs, plain text, or end in `#### value`. A unit may be left out on either side, and must be the same
    where both have one.
    """
    wanted, unit = _expected(expected)
    if not wanted:
        return "the value that the seed expects cannot be read"
    found, own = _final(answer)
    if not found:
        return "has no value that can be read"
    if not units.agree(own, unit):
        return f"its unit is {_shown(own)}, not {_shown(unit)}"
    from math_verify import verify  # noqa: PLC0415 - in the worker only

    if any(verify(one, other, timeout_seconds=None) for one in wanted for other in found):
        return None
    return f"its value is {found[0][-1]}, not what is expected"


def _expected(text: str) -> tuple[list[Value], units.Unit | None]:
    """The readings of what a seed expects, and its unit."""
    gold = text.rpartition("####")[2].strip()
    boxed = last_boxed(gold)
    value, unit = units.split(plain(_bare(gold if boxed is None else boxed), alone=True))
    readings = [] if "$" in value else _readings(value)
    # A sentence, perhaps with a formula in it, is read as an answer is.
    return (readings, unit) if readings else (_parsed(gold), units.after_last_number(gold))


def _final(answer: str) -> tuple[list[Value], units.Unit | None]:
    """The readings of an answer's final value, and its unit."""
    boxed = last_boxed(answer)  # math-verify would join all boxes into one value
    if boxed is None:
        text = plain(answer[-LONGEST:], alone=False)
        return _parsed(_MONEY.sub("", text)), units.after_last_number(text)
    value, unit = units.split(plain(_bare(boxed[-LONGEST:]), alone=True))
    return _readings(value), unit


def _readings(value: str) -> list[Value]:
    """A value that stands alone, as it is and with its comma as a decimal one."""
    value = _PI.sub(r"\\pi", value.removesuffix("."))
    forms = [value, decimal_comma(value)]
    return [found for form in forms if form is not None for found in _parsed(f"\\boxed{{{form}}}")]


def _parsed(text: str) -> list[Value]:
    from math_verify import parse  # noqa: PLC0415 - in the worker only

    found = parse(text, parsing_timeout=None)
    return [found] if found else []


def _bare(text: str) -> str:
    """Without the $ signs around all of it."""
    text = text.strip()
    inner = text.strip("$")
    return inner if text.startswith("$") and text.endswith("$") and "$" not in inner.replace("\\$", "") else text


def _shown(unit: units.Unit | None) -> str:
    return " ".join(sorted(unit or ())) or "none"
