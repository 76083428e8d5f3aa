"""Text and Markdown documents: as they stand."""

import re
from pathlib import Path

from harvester.seeds.texts import no_nul, opened

FRONT_MATTER = re.compile(r"\A---\n(.*?\n)??---[ \t]*\n", re.DOTALL)
TITLE = re.compile(r"^title:[ \t]*(['\"]?)(\S.*?)\1[ \t]*$", re.MULTILINE)
FENCED = re.compile(r"^(```|~~~).*?(?:^\1|\Z)", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^# +(\S.*?)[ #]*$", re.MULTILINE)


def read(path: Path) -> tuple[str, str | None]:
    """(text, title). Of Markdown the front matter is left out; its title is the one there, or the first heading.

    Raises:
        BadInput: not UTF-8 text.
    """
    with opened(path) as file:
        text = file.read()
    no_nul(path, text, 1)
    if path.suffix.lower() != ".md":
        return text, None
    matter = FRONT_MATTER.match(text)
    text = text[matter.end() :] if matter else text
    title = TITLE.search(matter[0]) if matter else None
    heading = HEADING.search(FENCED.sub("", text))
    return text, title[2] if title else heading[1] if heading else None
