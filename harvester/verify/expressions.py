r"""Arithmetic read and computed exactly, without Python's own evaluation: + - * / and parentheses over whole numbers.

    expression = term {("+" | "-") term}
    term       = factor {("*" | "/") factor}
    factor     = ("+" | "-") factor | number | "(" expression ")"

Also read: the typographic signs for these, and LaTeX's (\times, \cdot, \div, \left, \right, \frac{a}{b}).
"""

import re
from collections.abc import Iterator
from fractions import Fraction

from harvester.verify.base import Failed, quote

LONGEST = 1_000
DEEPEST = 50
MOST_DIGITS = 20

_TOKEN = re.compile(r"\s*(?:([0-9]+)|([-+*/()]))", re.ASCII)
_WRITTEN = {
    "\\times": "*",
    "\\cdot": "*",
    "\\div": "/",
    "\\left": "",
    "\\right": "",
    "\u00d7": "*",
    "\u00b7": "*",
    "\u22c5": "*",
    "\u00f7": "/",
    "\u2212": "-",
    "\u2013": "-",
}
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}")


def evaluate(text: str) -> tuple[Fraction, list[int]]:
    """An expression → its value, and the numbers in it in their order.

    Raises:
        Failed: no expression, too long or too deep, or a division by zero.
    """
    if len(text) > LONGEST:
        raise Failed(f"the expression is longer than {LONGEST:,} characters")
    tokens = list(_tokens(_plain(text)))
    if not tokens:
        raise Failed("there is no expression")
    reader = _Reader(tokens)
    value = reader.expression(0)
    if reader.place < len(tokens):
        raise Failed(f"{quote(reader.next())} where an operator should be")
    return value, [int(token) for token in tokens if token.isdigit()]


def _plain(text: str) -> str:
    text = _FRACTION.sub(r"((\1)/(\2))", text)
    for written, sign in _WRITTEN.items():
        text = text.replace(written, sign)
    return text


def _tokens(text: str) -> Iterator[str]:
    place = 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if not match:
            raise Failed(f"not an expression of whole numbers: {quote(text[place:].strip())}")
        if match[1] and len(match[1]) > MOST_DIGITS:
            raise Failed(f"a number has more than {MOST_DIGITS} digits")
        yield match[1] or match[2]
        place = match.end()


class _Reader:
    """A recursive descent over the tokens."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self.place = 0

    def next(self) -> str:
        return self._tokens[self.place] if self.place < len(self._tokens) else ""

    def _take(self, *tokens: str) -> str | None:
        if (found := self.next()) not in tokens:
            return None
        self.place += 1
        return found

    def expression(self, depth: int) -> Fraction:
        value = self._term(depth)
        while sign := self._take("+", "-"):
            other = self._term(depth)
            value = value + other if sign == "+" else value - other
        return value

    def _term(self, depth: int) -> Fraction:
        value = self._factor(depth)
        while sign := self._take("*", "/"):
            other = self._factor(depth)
            if sign == "/" and other == 0:
                raise Failed("divides by zero")
            value = value * other if sign == "*" else value / other
        return value

    def _factor(self, depth: int) -> Fraction:
        if depth > DEEPEST:
            raise Failed(f"nested more than {DEEPEST} deep")
        if sign := self._take("+", "-"):
            value = self._factor(depth + 1)
            return value if sign == "+" else -value
        if self._take("("):
            value = self.expression(depth + 1)
            if not self._take(")"):
                raise Failed("a parenthesis is not closed")
            return value
        token = self.next()
        if not token.isdigit():
            raise Failed(f"{quote(token)} where a number should be" if token else "the expression is not complete")
        self.place += 1
        return Fraction(int(token))
