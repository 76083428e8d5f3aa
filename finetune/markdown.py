"""Markdown from texts that others wrote."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from harvester.records import printable


def plain(text: Any) -> str:
    """One line of Markdown that means nothing but its characters."""
    # Inside a word an underscore is only itself, and addresses stay whole.
    return re.sub(r"([\\`*{}\[\]<>#|~&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", printable(str(text)))


def code(text: Any) -> str:
    """A span of code; no backtick in it can close the span."""
    return f"`{printable(str(text)).replace('`', chr(39))}`"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows whose cells are Markdown already."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows))


def bullets(lines: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {line}" for line in lines)
