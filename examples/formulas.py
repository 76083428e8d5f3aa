r"""Reads expressions for check_solutions.py, plain or LaTeX, and computes them by a recursive descent.

    sum     = product {("+" | "-") product}
    product = factor {("*" | "/") factor | power}
    factor  = {"+" | "-"} power
    power   = primary {"!"} ["^" factor]
    primary = number | letter | bracketed sum | \frac, \binom and \sqrt with what they are taken of | \pi

It is written anew, with the standard library only.
"""

import math
import random
import re
from collections.abc import Callable
from typing import Any

LONGEST = 500
"""Characters of an expression."""
LARGEST = 1_000
"""What a factorial is taken of."""
CLOSING = {"(": ")", "{": "}", "[": "]"}
TOKEN = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+|\\[a-zA-Z]+|[-+*/^!(){}\[\]]|[a-zA-Z])", re.ASCII)
DIGITS = re.compile(r"\.?\d")
PI = "3.14159265358979323846264338327950288419716939937511"

WRITTEN = {
    "\u00d7\u00b7\u22c5": "*",  # times sign and dots
    "\u00f7\u2215\u2044": "/",  # division sign and slashes
    "\u2212\u2013": "-",  # minus sign and dash
    "\u00a0\u202f\u2009~": " ",  # spaces that do not break
    "$\u20ac\u00a3\u00b0\u200b\u2060\ufeff": "",  # currencies, degrees, what cannot be seen
    "\u00b2": "^2",
    "\u00b3": "^3",
    "\u00bc": r"\frac14 ",
    "\u00bd": r"\frac12 ",
    "\u00be": r"\frac34 ",
    "\u2153": r"\frac13 ",
    "\u2154": r"\frac23 ",
    "\u221a": r"\sqrt ",
    "\u03c0": r"\pi ",
    "\u2248": r"\approx ",
}
SIGNS = str.maketrans({letter: plain for letters, plain in WRITTEN.items() for letter in letters})
LATEX = (
    (r"\\(?:times|cdot|ast)(?![a-zA-Z])", "*"),
    (r"\\div(?![a-zA-Z])", "/"),
    (r"\\\$|\\[()\[\]]", ""),  # a dollar; the signs that open and close a formula
    (r"\\[,;:! ]|\\(?:left|right|displaystyle|quad|qquad)(?![a-zA-Z])", " "),
    (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
)


class Unreadable(ValueError):
    """No expression by this grammar."""


def plain_signs(text: str) -> str:
    """An expression with plain signs in place of typographic ones and of LaTeX's."""
    for pattern, plain in LATEX:
        text = re.sub(pattern, plain, text)
    return text.translate(SIGNS)


def tokens(text: str) -> list[str]:
    """Numbers, signs, letters and commands, in their order."""
    place, text = 0, text.rstrip()
    found: list[str] = []
    if len(text) > LONGEST:
        raise Unreadable(f"more than {LONGEST} characters")
    while place < len(text):
        token = TOKEN.match(text, place)
        if not token:
            raise Unreadable(text[place:])
        found.append(token[1])
        place = token.end()
    return found


def whole(value: Any) -> int:
    """A whole number that is not too large to count with."""
    if not 0 <= value <= LARGEST or value != int(value):
        raise Unreadable(f"{value} is no small whole number")
    return int(value)


class Reader:
    r"""Computes one expression.

    `number` makes the values, such as `Fraction`. `implicit` allows products without a sign, such as 2\pi. `numbers`
    are those that were read. A letter stands for a number between 2 and 3, the same one wherever it stands.
    """

    def __init__(self, text: str, number: Callable[[str], Any], *, implicit: bool) -> None:
        self.tokens = tokens(text)
        self.number, self.implicit = number, implicit
        self.numbers: list[str] = []
        self.last = ""

    def value(self) -> Any:
        """Of the whole text."""
        try:
            found = self.sum()
        except RecursionError:
            raise Unreadable("nested too deeply") from None
        if self.tokens:
            raise Unreadable(f"{self.tokens[0]} where an operator should be")
        return found

    def take(self) -> str:
        """The next token, which is read with that."""
        self.last = self.tokens.pop(0) if self.tokens else "the end"
        return self.last

    def next_in(self, signs: str) -> bool:
        """Whether the next token is one of these signs."""
        return bool(self.tokens) and self.tokens[0] in signs

    def next_is_factor(self) -> bool:
        """Whether a factor follows without a sign; two numbers side by side are no product."""
        begin = r"[({a-zA-Z\\]" if DIGITS.match(self.last) else r"[({a-zA-Z\\.\d]"
        return self.implicit and bool(self.tokens) and bool(re.match(begin, self.tokens[0]))

    def sum(self) -> Any:
        """Products with plus and minus between."""
        found = self.product()
        while self.next_in("+-"):
            sign, other = self.take(), self.product()
            found = found + other if sign == "+" else found - other
        return found

    def product(self) -> Any:
        """Factors with a sign between, or none."""
        found = self.factor()
        while self.next_in("*/") or self.next_is_factor():
            sign = self.take() if self.next_in("*/") else ""
            other = self.factor() if sign else self.power()
            found = found / other if sign == "/" else found * other
        return found

    def factor(self) -> Any:
        """A power with signs before it."""
        if self.next_in("+-"):
            return self.factor() if self.take() == "+" else -self.factor()
        return self.power()

    def power(self) -> Any:
        """A primary with what stands behind it."""
        found = self.primary()
        while self.next_in("!"):
            self.take()
            found = self.number(str(math.factorial(whole(found))))
        if self.next_in("^"):
            self.take()
            found = found ** self.factor()
        return found

    def primary(self) -> Any:
        """What has no operator outside of brackets."""
        token = self.take()
        if token in CLOSING:
            found = self.sum()
            if not self.next_in(CLOSING[token]):
                raise Unreadable(f"no {CLOSING[token]}")
            self.take()
            return found
        if DIGITS.match(token):
            self.numbers.append(token)
            return self.number(token)
        if re.fullmatch("[a-zA-Z]", token):
            return self.number(f"{random.Random(token).uniform(2, 3):.15f}")  # noqa: S311 - the same at every run
        return self.function(token)

    def function(self, name: str) -> Any:
        """What a command of LaTeX comes to."""
        if name == r"\pi":
            return self.number(PI)
        if name == r"\frac":
            return self.primary() / self.primary()
        if name == r"\binom":
            return self.number(str(math.comb(whole(self.primary()), whole(self.primary()))))
        if name == r"\sqrt":
            degree = self.primary() if self.next_in("[") else self.number("2")
            return self.primary() ** (1 / degree)
        raise Unreadable(f"{name} where a number should be")
