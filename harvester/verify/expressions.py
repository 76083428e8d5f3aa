r"""Arithmetic read and computed exactly, without Python's own evaluation: + - * / and parentheses over whole numbers.

    expression = term {("+" | "-") term}
    term       = factor {("*" | "/") factor}
    factor     = ("+" | "-") factor | number | "(" expression ")" | "{" expression "}"
               | "\frac" "{" expression "}" "{" expression "}"

Also read: the typographic signs for these, LaTeX's (\times, \cdot, \ast, \div, \dfrac, \tfrac, \cfrac), and what sets
spaces or sizes in LaTeX (\, \quad \left \right).
"""

import re
from collections.abc import Iterator
from fractions import Fraction

from harvester.verify.base import Failed, quote

LONGEST = 1_000
DEEPEST = 50
MOST_DIGITS = 20

_TOKEN = re.compile(r"\s*(?:([0-9]+)|([-+*/(){}]|\\frac(?![a-zA-Z])))", re.ASCII)
_CLOSING = {"(": ")", "{": "}"}
_LATEX = (
    (re.compile(r"\\(?:times|cdot|ast)(?![a-zA-Z])"), "*"),
    (re.compile(r"\\div(?![a-zA-Z])"), "/"),
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\(?:left|right|displaystyle|q?quad)(?![a-zA-Z])|\\[,;:! ]"), " "),
)
_SIGNS = str.maketrans(
    {
        **dict.fromkeys("\u00d7\u00b7\u22c5", "*"),
        **dict.fromkeys("\u00f7\u2044\u2215", "/"),
        **dict.fromkeys("\u2212\u2013", "-"),
        **dict.fromkeys("\u00a0\u2009\u202f", " "),
    }
)


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
    for pattern, sign in _LATEX:
        text = pattern.sub(sign, text)
    return text.translate(_SIGNS)


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
        if self.next() in _CLOSING:
            return self._group(depth)
        if self._take("\\frac"):
            return self._fraction(depth)
        token = self.next()
        if not token.isdigit():
            raise Failed(f"{quote(token)} where a number should be" if token else "the expression is not complete")
        self.place += 1
        return Fraction(int(token))

    def _group(self, depth: int) -> Fraction:
        closing = _CLOSING[self.next()]
        self.place += 1
        value = self.expression(depth + 1)
        if not self._take(closing):
            raise Failed("a parenthesis is not closed" if closing == ")" else "a brace is not closed")
        return value

    def _fraction(self, depth: int) -> Fraction:
        parts = []
        for _ in ("above", "below"):
            if self.next() != "{":
                raise Failed("a \\frac is not followed by {…}{…}")
            parts.append(self._group(depth))
        if parts[1] == 0:
            raise Failed("divides by zero")
        return parts[0] / parts[1]
