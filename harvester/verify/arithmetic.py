r"""arithmetic: the answer's expression is made of the seed's numbers and has the seed's target as its value, exactly.

The expression is looked for in the first of these places that the answer has:

1. the last `<answer>…</answer>`;
2. the last `\boxed{…}`;
3. the last line that holds anything, what stands before a colon in it left out.

`expression = value` (or `value = expression`) is one too, if the value is the target, written as a number or as a
fraction in lowest terms; a second expression is none. Bold marks, LaTeX's signs for a formula and a full stop
at the end are taken away.
"""

import re
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from harvester.records import Json
from harvester.verify.base import Failed, Judge, quote
from harvester.verify.boxed import last_boxed
from harvester.verify.expressions import evaluate
from harvester.verify.settings import Setting, SettingsKind

MOST_NUMBERS = 100
MOST_DIGITS = 30

SETTINGS = {
    "numbers": Setting(str, missing="name the seed's field that lists the numbers"),
    "target": Setting(str, missing="name the seed's field that holds the target"),
    "each_once": Setting(bool, default=True),
}
_OPEN, _CLOSE = "<answer>", "</answer>"
_WHOLE = re.compile(rf"[0-9]{{1,{MOST_DIGITS}}}", re.ASCII)
_EXACT = re.compile(rf"-?[0-9]{{1,{MOST_DIGITS}}}(?:[./][0-9]{{1,{MOST_DIGITS}}})?", re.ASCII)


def expression_in(answer: str) -> str:
    """The text that should be the answer's expression, by the rules above."""
    found = _tagged(answer)
    if found is None:
        found = last_boxed(answer)
    if found is None:
        lines = [line for line in answer.splitlines() if line.strip()]
        found = lines[-1].rpartition(":")[2] if lines else ""
    for mark in ("$", "\\(", "\\)", "\\[", "\\]"):
        found = found.replace(mark, "")
    return found.strip(" \t\r\n*.")


def _tagged(answer: str) -> str | None:
    start = answer.rfind(_OPEN, 0, max(answer.rfind(_CLOSE), 0))
    return answer[start + len(_OPEN) : answer.find(_CLOSE, start)] if start >= 0 else None


def _numbers(seed: Mapping[str, Json], field: str) -> list[int]:
    value = seed.get(field)
    found = _WHOLE.findall(value) if isinstance(value, str) else value
    if not isinstance(found, list) or not 0 < len(found) <= MOST_NUMBERS:
        raise Failed(f"the seed's field {quote(field)} is no list of numbers")
    numbers = []
    for one in found:
        one = int(one) if isinstance(one, float) and one.is_integer() else one  # noqa: PLW2901 - tables hold 3.0
        if isinstance(one, bool) or not _WHOLE.fullmatch(str(one)):
            raise Failed(f"the seed's field {quote(field)} holds {quote(one)}, which is no whole number")
        numbers.append(int(one))
    return numbers


def _target(seed: Mapping[str, Json], field: str) -> Fraction:
    value = seed.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float | str) or not _EXACT.fullmatch(str(value).strip()):
        raise Failed(f"the seed's field {quote(field)} is no number")
    try:
        return Fraction(str(value).strip())
    except ZeroDivisionError:
        raise Failed(f"the seed's field {quote(field)} divides by zero") from None


def _require_value(text: str, target: Fraction) -> list[int]:
    """The numbers of an expression whose value, and stated value, is the target."""
    sides = text.split("=")
    if len(sides) > 2:  # noqa: PLR2004 - an expression and its value
        raise Failed("more than one equals sign")
    results = [evaluate(side) for side in sides]
    for value, _ in results:
        if value != target:
            raise Failed(f"{quote(text)} is {_shown(value)}, not {_shown(target)}")
    return _of_expression([numbers for _, numbers in results], target)


def _of_expression(sides: list[list[int]], target: Fraction) -> list[int]:
    """The numbers of the side that is the expression; beside it there may stand the target, and no other expression."""
    value = [abs(target.numerator), target.denominator][: 1 if target.denominator == 1 else 2]
    expressions = [numbers for numbers in sides if numbers != value]
    if len(expressions) > 1:
        raise Failed(f"two expressions, where an expression and {_shown(target)} may stand")
    return expressions[0] if expressions else value


def _shown(value: Fraction) -> str:
    return str(value) if max(abs(value.numerator), value.denominator) < 10**MOST_DIGITS else "another number"


def _judge(settings: Mapping[str, Any]) -> Judge:
    def judge(answer: str, seed: Mapping[str, Json]) -> None:
        given, target = _numbers(seed, settings["numbers"]), _target(seed, settings["target"])
        used = _require_value(expression_in(answer), target)
        if foreign := [number for number in used if number not in given]:
            raise Failed(f"uses {foreign[0]}, which is none of the given numbers")
        if settings["each_once"] and Counter(used) != Counter(given):
            raise Failed(f"does not use each of {quote(sorted(given))} exactly once, but {quote(sorted(used))}")

    return judge


ARITHMETIC = SettingsKind(
    "arithmetic", SETTINGS, "{numbers: …, target: …}", _judge, seed_settings=("numbers", "target")
)
