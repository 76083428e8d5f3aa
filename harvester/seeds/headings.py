"""Where the headings of a text are: a chunk must not end with one, as it belongs to what follows it.

Headings are Markdown's (# above, or underlined by = or -), and what HTML and PDF leave of theirs: a short line between
blank ones that begins like a title and ends like no sentence. More than MOST_IN_A_ROW such lines are a list.
"""

import re
from collections.abc import Iterator

MOST_CHARACTERS = 100
MOST_IN_A_ROW = 3

_BLANK = re.compile(r"\n(?:[^\S\n]*\n)+")
_MARKED = re.compile(
    r"^(?:[ ]{0,3}\#{1,6}[ \t]+\S[^\n]* | [^\s|>][^\n]{0,200}\n[ ]{0,3}(?:={3,}|-{3,})[ \t\r]*$)\s*",
    re.MULTILINE | re.VERBOSE,
)
_NO_TITLE = re.compile(r"[-*+•>|`~]\s|\|")  # begins an item, a quotation or a table
_ENDS_MORE = tuple(".!?…;,:。！？；，：؟؛،۔।॥")  # noqa: RUF001 - full-width ones are meant


def headings(text: str) -> list[tuple[int, int]]:
    """(begin, end) of every heading, in characters, in order; its end is where what it heads begins."""
    found: list[tuple[int, int]] = []
    titles: list[tuple[int, int]] = []
    for begin, stop, following in _blocks(text):
        block = text[begin:stop].strip()
        if _is_title(block):
            titles.append((begin, following))
            continue
        if len(titles) <= MOST_IN_A_ROW:
            found += titles
        titles = []
        found += [match.span() for match in _MARKED.finditer(text, begin, following)]
    return found


def _blocks(text: str) -> Iterator[tuple[int, int, int]]:
    """(begin, end, begin of the next) of what blank lines part."""
    begin = 0
    for blank in _BLANK.finditer(text):
        yield begin, blank.start(), blank.end()
        begin = blank.end()
    yield begin, len(text), len(text)


def _is_title(block: str) -> bool:
    return (
        0 < len(block) <= MOST_CHARACTERS
        and "\n" not in block
        and not block.startswith("#")
        and not _NO_TITLE.match(block)
        and not block.endswith(_ENDS_MORE)
        and not block[0].islower()
        and any(letter.isalpha() for letter in block)
    )
