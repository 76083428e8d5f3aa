"""What a worker does for the `math` verifier; math-verify and sympy are imported here only."""

import logging
import re
from typing import NamedTuple

from harvester.verify import equations, everyday_formulas, units
from harvester.verify.boxed import last_boxed
from harvester.verify.everyday_numbers import decimal_comma, plain

LONGEST = 20_000
Value = list[object]
"""What math-verify makes of a value: its readings as sympy's objects, then its text."""
_MONEY = re.compile(r"\\\$(?=\s?[0-9])")


class _Final(NamedTuple):
    """A final value: its text, what that may mean (nothing if it cannot be read), and its unit."""

    text: str
    readings: list[Value]
    unit: units.Unit | None


def prepare() -> None:
    """Load math-verify, which takes a second."""
    import math_verify  # noqa: F401, PLC0415 - in the worker only

    logging.disable(logging.CRITICAL)  # it warns that its own timeouts are off: workers have theirs


def run(answer: str, expected: str) -> str | None:
    r"""Why the answer's final value is not the expected one; None where it is.

    The final value is that of the last \boxed{…}, else the last formula or number. What is expected may be LaTeX, with
    or without $ signs, plain text, or end in `#### value`. A unit may be left out on either side, and must be the same
    where both have one. An equation of different numbers (48 = 47) is no value, nor is a relation (≤ 2) unless it is
    expected.
    """
    wanted, found = _expected(expected), _final(answer)
    if not wanted.readings:
        return "the value that the seed expects cannot be read"
    if not found.readings:
        return "has no value that can be read"
    if not units.agree(found.unit, wanted.unit):
        return f"its unit is {_shown(found.unit)}, not {_shown(wanted.unit)}"
    if not any(_same(one, other) for one in wanted.readings for other in found.readings):
        return f"its value is {found.readings[0][-1]}, not what is expected"
    if _contradicts(found.text):
        return f"{found.text} is an equation of different numbers"
    return None


def _expected(text: str) -> _Final:
    """What a seed expects."""
    gold = text.rpartition("####")[2].strip()
    boxed = last_boxed(gold)
    found = _alone(gold if boxed is None else boxed)
    # A sentence, perhaps with a formula in it, is read as an answer is.
    return found if found.readings and "$" not in units.split(found.text)[0] else _last(gold, gold)


def _final(answer: str) -> _Final:
    """An answer's final value."""
    boxed = last_boxed(answer)  # math-verify would join all boxes into one value
    if boxed is not None:
        return _alone(boxed[-LONGEST:])
    text = plain(answer[-LONGEST:], alone=False)
    return _last(text, _MONEY.sub("", text))


def _alone(text: str) -> _Final:
    """A value and nothing else, as it is and with its comma as a decimal one."""
    text = everyday_formulas.signs(plain(everyday_formulas.bare(text), alone=True))
    value, unit = units.split(text)
    return _Final(text, _readings(value), unit)


def _last(text: str, formula: str) -> _Final:
    """The last value of a text; in its other form dollars are no signs of a formula."""
    found = _parsed(everyday_formulas.in_sentence(formula))
    last = str(found[0][-1]) if found else ""
    readings = _readings(last) if len(equations.sides(last)) > 1 else found
    return _Final(last, readings, units.after_last_number(text))


def _readings(value: str) -> list[Value]:
    forms = [equations.name_first(value), decimal_comma(value)]
    return [found for form in forms if form is not None for found in _parsed(f"\\boxed{{{form}}}")]


def _parsed(text: str) -> list[Value]:
    from math_verify import parse  # noqa: PLC0415 - in the worker only
    from sympy import Basic  # noqa: PLC0415
    from sympy.core.relational import Relational  # noqa: PLC0415

    found = parse(text, parsing_timeout=None)
    if not found:
        return []
    value = found[0]
    if equations.is_relation(str(found[-1])) and not (isinstance(value, Basic) and value.has(Relational)):
        return [["".join(str(found[-1]).split())]]  # it leaves the sign of \leq 2 out
    exact = _exact(value)
    return [found] if exact is value else [found, [exact, found[-1]]]


def _exact(value: object) -> object:
    """A formula with its decimals as fractions: only then 2^{0.5} is the root of 2."""
    from sympy import Basic, Eq, Float, Rational  # noqa: PLC0415 - in the worker only

    if not isinstance(value, Basic) or isinstance(value, Float) or not value.has(Float):
        return value  # a decimal that stands alone is compared to six places
    if isinstance(value, Eq):
        return Eq(value.lhs, _exact(value.rhs), evaluate=False)
    return value.xreplace({one: Rational(str(one)) for one in value.atoms(Float) if one.is_finite})


def _same(one: Value, other: Value) -> bool:
    from math_verify import verify  # noqa: PLC0415 - in the worker only

    return bool(verify(one, other, timeout_seconds=None))


def _contradicts(text: str) -> bool:
    """Whether an equation in it says that a number is another one, with the same unit or both without one."""
    for part in equations.parts(text):
        of_unit: dict[units.Unit | None, Value] = {}
        for side in equations.sides(part) if "=" in part else ():
            value, unit = units.split(side)
            number = _number(value)
            if number is not None and not _same(of_unit.setdefault(unit, number), number):
                return True
    return False


def _number(side: str) -> Value | None:
    """What a side is if it is a number; numbers of other bases (101_2) are not read."""
    found = [] if "_" in side else _parsed(f"\\boxed{{{side}}}")
    return found[0] if found and getattr(found[0][0], "is_number", False) else None


def _shown(unit: units.Unit | None) -> str:
    return " ".join(sorted(unit or ())) or "none"
