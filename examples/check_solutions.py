r"""Recounts the solutions in an export of the recipes `countdown` or `reasoning`; shares no code with Harvester.

    python examples/check_solutions.py runs/countdown/dataset

Ends with 0 if every accepted row is right, 1 if one is wrong or cannot be read here, 2 if there is nothing to check.

Puzzles are computed in exact fractions. Results are computed in decimals of 50 digits, so that no formula keeps the
script busy, and are the same if they agree to six places; letters in them stand for positive numbers. Units, currencies
and what is named before an equals sign do not count, 4 % is 4 or 0.04. What a result says in other words
is not read: such rows are listed for you to look at.
"""

import decimal
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from formulas import LONGEST, Reader, Unreadable, plain_signs  # isort: skip - beside this file

RIGHT, WRONG, UNREADABLE = "right", "wrong", "unreadable"
# What lies beyond is infinite, and no result.
DECIMALS = decimal.Context(prec=50, traps=[decimal.InvalidOperation])
SIX_PLACES, SMALLEST = Decimal("1e-6"), Decimal("1e-30")

BOX = r"\\(?:boxed|fbox)\s*\{"
SPOKEN = {"hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "dozen": 12}
TIDY: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{((?:[^{}]|\{[^{}]*\})*)\}", r" \1 "),
    (r"\^\s*(?:\{\\circ\}|\\circ)", ""),
    (r"\\\{", "("),
    (r"\\\}", ")"),
    (r"\{,\}", ","),
    (r"(\d+)[.,](\d*)(?:\\(?:overline|bar|dot)\s*\{|\()(\d+)[})]", lambda found: repeating(*found.groups())),
    (r"(?<![a-zA-Z\\])(pi|sqrt)(?![a-zA-Z])", r"\\\1 "),
    (r"(?<![\d.,])[1-9]\d{0,2}(?:[,' ]\d{3})+(?![\d,])", lambda found: re.sub(r"\D", "", found[0])),  # 1,000,000
    (r"(?<![\d.,])\d{1,3}(?:(?:\.\d{3}){2,}|(?:\.\d{3})+(?=,\d))(?![\d.])", lambda found: found[0].replace(".", "")),
    (r"(?<![\d.,])(\d+),(?=(?:\d{1,2}|\d{4,})(?![\d.,]))", r"\1."),  # 22,1
    (r"(?<![\d.,])0,(?=\d+(?![\d.,]))", "0."),
    (r"(?<=\d)[eE]([+-]?\d+)", r"*10^(\1)"),
    *((rf"(?<=\d)\s*{word}s?\b", f"*{factor}") for word, factor in SPOKEN.items()),
    (r"(?<=\d)\s*:\s*(?=\d)", "/"),
    (r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}"),
    (r"(?<![\d.^,])(\d+)\s*(\\frac\{\d+\}\{\d+\})", r"(\1+\2)"),  # a mixed number
    (r"(?<![\d.^,])(\d+)\s+(\d+/\d+)", r"(\1+\2)"),
)
WORD, POWER = r"(?<![a-zA-Z\\])(?:[a-zA-Z]{2,}|(?<=[\d\s])[mglLsh])(?![a-zA-Z])", r"(?:\s*\^\s*\{?[23]\}?)?"
WORDS = re.compile(r"(?<![a-zA-Z\\])[a-zA-Z]{2}")
UNITS = re.compile(rf"(?:\s*{WORD}{POWER}(?:\s*/\s*[a-zA-Z]+{POWER})?)+\s*$")
"""Words at the end: rolls, km/h, cm^3, euros are left."""
PART = re.compile(r"[\u03c0\u221a\u2264\u2265\u2260]|(?<![a-zA-Z])pi(?![a-zA-Z])|[a-zA-Z]\s*[<>]=?\s*-?\d|\S\s[<>]")
"""A number of such a line is a part of its value: 25 of 25pi, 2 of x > 2."""


def repeating(whole: str, fixed: str, period: str) -> str:
    """0.1 and a 6 that repeats → ((016-01)/90)."""
    return f"(({whole}{fixed}{period}-{whole}{fixed})/{'9' * len(period)}{'0' * len(fixed)})"


def boxed(answer: str) -> str | None:
    r"""What the last \boxed{…} holds; None if there is none, or its end is missing."""
    *_, behind = re.split(BOX, answer)
    depth = 1
    for brace in re.finditer(r"\\.|[{}]", behind) if behind != answer else ():
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if not depth:
            return behind[: brace.start()]
    return None


def last_line(answer: str, holds: str) -> str:
    """The last line in which a pattern is found, else nothing."""
    return next((line for line in reversed(answer.splitlines()) if re.search(holds, line)), "")


def puzzle(answer: str, seed: dict[str, Any]) -> str:
    """Whether one expression uses each number once and comes to the target; `= target` may stand beside it."""
    given, target = seed["numbers"], Fraction(str(seed["target"]))
    numbers = sorted(map(int, re.findall(r"\d+", given) if isinstance(given, str) else given))
    tagged = re.findall(r"<answer>((?:(?!<answer>).)*?)</answer>", answer, re.DOTALL)
    said = tagged[-1] if tagged else boxed(answer)
    said = last_line(answer, r"\S").rpartition(":")[2] if said is None else said
    sides = plain_signs(said).strip("*. \t\r\n").split("=")
    if not all(re.fullmatch(r"(?:\\frac|[\d\s+*/(){}-])+", side, re.ASCII) for side in sides):
        return WRONG
    try:
        read = [Reader(side, Fraction, implicit=False) for side in sides]
        values = {side.value() for side in read}
    except (Unreadable, ZeroDivisionError):
        return WRONG
    used = [sorted(map(int, side.numbers)) for side in read]
    if values != {target} or numbers not in used:
        return WRONG
    used.remove(numbers)
    stated = [abs(target.numerator)] if target.denominator == 1 else sorted(map(abs, target.as_integer_ratio()))
    return RIGHT if used in ([], [stated]) else WRONG


def tidy(text: str) -> str:
    """A result in the signs that `Reader` knows."""
    text = re.sub(r"\d", lambda digit: str(int(digit[0])), plain_signs(text))  # of any script
    for pattern, plain in TIDY:
        text = re.sub(pattern, plain, text)
    return text.strip(" \t\r\n*").rstrip(" .;,\\")


def readings(side: str) -> list[Decimal]:
    """What one side of an equation may be: a percentage is two values; none if it cannot be read."""
    side, percent = re.subn(r"(?:\\?%|\bpercent)\s*$", "", side)
    try:
        value = Reader(side, Decimal, implicit=True).value()
    except (Unreadable, decimal.InvalidOperation):
        return []
    return [value, value / 100] if percent else [value]


def same(found: list[Decimal], expected: list[Decimal]) -> bool:
    """Whether one reading of each agrees to six places, of tiny numbers to four digits."""
    pairs = [(one, other) for one in found for other in expected]
    return any(abs(one - other) <= max(SMALLEST, min(SIX_PLACES, abs(other) / 10_000)) for one, other in pairs)


def has_letters(text: str) -> bool:
    """Whether something is named in it that is no command."""
    return bool(re.search(r"[a-zA-Z]", re.sub(r"\\[a-zA-Z]+", "", text)))


def expectation(result: Any) -> tuple[list[Decimal], bool]:
    """The readings of a seed's result, and whether it is a formula with letters."""
    if isinstance(result, bool) or not isinstance(result, str | int | float):
        raise TypeError("no result")
    text = result if isinstance(result, str) else format(Decimal(str(result)), "f")
    last = tidy(boxed(text) or text.rpartition("####")[2]).rpartition("=")[2]
    bare = UNITS.sub("", last) if re.search(r"\s[a-zA-Z]{2,}", last) else last
    return readings(bare), has_letters(bare)


def equation(text: str, expected: list[Decimal], *, formula: bool) -> str:
    """One value, with a name or a calculation before it: every number with its unit, or none, is the expected one."""
    parts = [part for part in text.split(r"\approx") if re.search(r"\d|\\pi", part)] or [text]
    sides = re.split(r"(?<![<>!])(?<!\\not)=|\\in(?![a-z])", parts[0])
    if not formula:
        units = ["".join(UNITS.findall(side)).split() for side in sides]
        sides = [UNITS.sub("", side) for side, unit in zip(sides, units, strict=True) if unit in ([], units[-1])]
    sides = [side for side in sides if side.strip()]
    read = [readings(side) if formula or not WORDS.search(side) else [] for side in sides]
    if not read or not read[-1]:
        return UNREADABLE
    numbers = [found for side, found in zip(sides, read, strict=True) if found and not has_letters(side)]
    compared = read[-1:] if formula or not numbers else numbers
    return RIGHT if all(same(found, expected) for found in compared) else WRONG


def judged(said: str, expected: list[Decimal], *, formula: bool) -> str:
    """What stands in a box; of several values each has to be the expected one."""
    if len(said) > LONGEST:
        return UNREADABLE
    values = [value for value in re.split(r",\s|;|\bor\b|\band\b", tidy(said)) if value.strip()]
    verdicts = {equation(value, expected, formula=formula) for value in values}
    return next((one for one in (WRONG, UNREADABLE, RIGHT) if one in verdicts), WRONG)


def unboxed(answer: str, expected: list[Decimal], *, formula: bool) -> str:
    """The last line with a number: as a whole, else its formulas or numbers, which have to agree."""
    line = last_line(answer, r"\d|\\pi|\u03c0").rpartition(": ")[2][-4 * LONGEST :]
    if judged(line, expected, formula=formula) == RIGHT:
        return RIGHT
    pieces = re.findall(r"\$+[^$]+\$+|\\\(.+?\\\)|\\\[.+?\\\]", line)
    if not pieces and PART.search(line):
        return UNREADABLE
    pieces = pieces or re.findall(r"-?\d[\d,]*(?:\.\d+)?(?:/\d+)?\s*%?", line)
    verdicts = {judged(piece, expected, formula=formula) for piece in pieces}
    return next(iter(verdicts)) if len(verdicts) == 1 else UNREADABLE if RIGHT in verdicts else WRONG


def result(answer: str, seed: dict[str, Any]) -> str:
    r"""Whether the last \boxed{…}, else the last line, is the seed's result."""
    with decimal.localcontext(DECIMALS):
        expected, formula = expectation(seed["result"])
        said = boxed(answer)
        if not expected or not expected[0].is_finite() or (said is None and re.search(BOX, answer)):
            return UNREADABLE
        judge = unboxed if said is None else judged
        return judge(answer if said is None else said, expected, formula=formula)


def accepted_rows(dataset: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Seed and answer of each accepted row of every split."""
    files = sorted(dataset.glob("data/*.parquet"))
    if not files:
        raise FileNotFoundError("it holds no data/*.parquet")
    for path in files:
        for row in pq.read_table(path, columns=["messages", "seed", "accepted"]).to_pylist():
            if row["accepted"]:
                yield json.loads(row["seed"]), row["messages"][-1]["content"]


def verdict(answer: str, seed: dict[str, Any]) -> str | None:
    """On an answer to a seed of either recipe; None for a seed of another one."""
    check = puzzle if {"numbers", "target"} <= seed.keys() else result if "result" in seed else None
    try:
        return check and check(answer, seed)
    except (ValueError, TypeError, ArithmeticError):
        return UNREADABLE  # the seed: another recipe's, or damaged


def recount(dataset: Path) -> int:
    """Print what is not right, and how many are; returns the exit code.

    Raises:
        OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException: there is nothing to check.
    """
    found: Counter[str] = Counter()
    for seed, answer in accepted_rows(dataset):
        if (judgement := verdict(answer, seed)) is not None:
            found[judgement] += 1
            if judgement != RIGHT:
                print(f"{judgement}: {json.dumps(seed, ensure_ascii=False)}: {answer[-120:]!r}")
    if not found:
        raise ValueError("it holds no accepted row of countdown or reasoning")
    others = [f"{found[kind]} {kind}" for kind in (WRONG, UNREADABLE) if found[kind]]
    print("; ".join([f"{found[RIGHT]} of {found.total()} accepted rows are right", *others]))
    return 1 if others else 0


def main() -> int:
    """Check the dataset that the command line names."""
    if len(sys.argv) != 2:  # noqa: PLR2004 - the script and the folder
        print(__doc__)
        return 2
    try:
        return recount(Path(sys.argv[1]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        problem = str(error).partition("\n")[0]
        print(
            f"{sys.argv[1]}: nothing to check: {problem}; name a dataset that `harvester export` wrote", file=sys.stderr
        )
        return 2


if __name__ == "__main__":
    sys.exit(main())
