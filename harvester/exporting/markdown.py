"""Markdown from texts that others wrote."""

import re
from collections.abc import Iterable, Sequence

from harvester.records import printable

MOST = 2_000
"""Characters of one text; a recipe may state a book for a licence."""
MOST_CODE = 300
BAR = re.compile(r"(?<!\\)\|")


def plain(text: str) -> str:
    """A text of somebody else's as one line of Markdown that means nothing but its characters."""
    # Inside a word an underscore is only itself, and addresses stay whole.
    return re.sub(r"([\\`*{}\[\]<>#|~&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", _short(text, MOST))


def code(text: str) -> str:
    """A text of somebody else's as a span of code; no backtick in it can close the span."""
    return f"`{_short(text, MOST_CODE).replace('`', chr(39)) or ' '}`"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows whose cells are Markdown already; a bar in one of them ends no cell, though it stands in code."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return BAR.sub(r"\|", text)


def bullets(lines: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {line}" for line in lines)


def _short(text: str, most: int) -> str:
    return printable(text[:most]) + ("…" if len(text) > most else "")
