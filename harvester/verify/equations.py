r"""Equations and other relations, as text: what their sides are, and which of them is a name.

What stands in braces, brackets or parentheses is no side: f(x = 2) is none.
"""

import re

_EQUALS = re.compile(r"(?<![<>!:])(?<!\\not):?=")
_COMMAS = re.compile(r",(?![0-9]{3})|;|\b(?:and|or)\b")  # 1,000 is one number
_RELATION = re.compile(
    r"\\(?:leq?|geq?|leqslant|geqslant|lt|gt|neq?|not|ll|gg|lesssim|gtrsim|prec|succ|propto)(?![a-zA-Z])|[<>]|!="
)
_BRACKET = re.compile(r"\\?[({\[\]})]")
_NAME = re.compile(
    r"(?!\\(?:pi|infty)(?![a-z]))\\?[^\W\d_]+(?:_(?:\w|\{[^{}]*\}))?'*(?:\([^()]*\))?|\\(?:text|mathrm|mathbf)\{[^{}0-9]*\}"
)


def sides(text: str) -> list[str]:
    """What stands between the equals signs of a text."""
    return _split(text, _EQUALS)


def parts(text: str) -> list[str]:
    """The equations or values that a text lists: x = 1, y = 2."""
    return _split(text, _COMMAS)


def is_relation(text: str) -> bool:
    r"""Whether a text compares by another sign than an equals sign: x > 2, \leq 2."""
    return len(_split(text, _RELATION)) > 1


def name_first(text: str) -> str:
    """11 = x → x = 11; anything else as it is."""
    first, *others = sides(text)
    if not others or _COMMAS.search(text) or _is_name(first) or not _is_name(others[-1]):
        return text
    return " = ".join(side.strip() for side in (others[-1], first, *others[:-1]))


def _is_name(side: str) -> bool:
    return _NAME.fullmatch(side.strip()) is not None


def _split(text: str, sign: re.Pattern[str]) -> list[str]:
    """A text parted where a sign stands outside of all brackets."""
    depth, start, found = 0, 0, []
    marks = sorted([*_BRACKET.finditer(text), *sign.finditer(text)], key=re.Match.start)
    for mark in marks:
        if mark[0][-1] in "({[":
            depth += 1
        elif mark[0][-1] in ")}]":
            depth -= 1
        elif depth <= 0:
            found.append(text[start : mark.start()])
            start = mark.end()
    return [*found, text[start:]]
