"""HTML documents: what a reader reads of them."""

import codecs
import re
from html.parser import HTMLParser
from pathlib import Path

from harvester.errors import BadInput
from harvester.seeds.texts import no_nul

# fmt: off
APART = frozenset((
    "address", "article", "blockquote", "body", "dd", "details", "div", "dl", "dt", "fieldset", "figcaption", "figure",
    "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "html", "main", "ol", "p", "pre", "section",
    "summary", "table", "ul",
))
"""Elements that begin and end a paragraph."""
LEFT_OUT = frozenset((
    "aside", "audio", "button", "canvas", "datalist", "dialog", "footer", "iframe", "nav", "noscript", "object",
    "script", "select", "style", "svg", "template", "textarea", "video",
))
"""Elements that are no part of what a page is about: their texts go."""
# fmt: on
LINES = frozenset({"br", "caption", "li", "tr"})
CELLS = frozenset({"td", "th"})

MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
CHARSET = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
HEAD_BYTES = 4096
AS_BROWSERS = {"iso-8859-1": "cp1252", "latin1": "cp1252", "us-ascii": "cp1252", "ascii": "cp1252"}
"""Encodings that browsers read as another one which has more characters."""


def read(path: Path) -> tuple[str, str | None]:
    """(text, title). Of a page with a `main` element that one alone; without navigation, footers, scripts, forms.

    Raises:
        BadInput: not text in the encoding that it states, which is UTF-8 where it states none.
    """
    page = _Page()
    text = _decoded(path)
    no_nul(path, text, 1)
    page.feed(text)
    page.close()
    return page.text(), page.title()


def _decoded(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from None
    stated = CHARSET.search(raw[:HEAD_BYTES])
    encoding = stated[1].decode("ascii", "replace").lower() if stated else "utf-8"
    encoding = next((name for mark, name in MARKS if raw.startswith(mark)), AS_BROWSERS.get(encoding, encoding))
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise BadInput(f"{path}: not {encoding} text: line {line}: {error.reason}; save it as UTF-8") from None
    except LookupError:
        raise BadInput(f"{path}: {encoding[:40]!r} is no encoding of text; save it as UTF-8") from None


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._body: list[str] = []
        self._main: list[str] = []
        self._title: list[str] = []
        self._heading: list[str] = []
        self._left_out: list[str] = []  # those that are open
        self._first_cell = False
        self._open: dict[str, int] = dict.fromkeys(("main", "pre", "title", "h1"), 0)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - as the base class
        if tag in LEFT_OUT:
            self._left_out.append(tag)
        if tag in self._open:
            self._open[tag] += 1
        self._break(tag)
        if tag == "li":
            self._add("- ")
        if tag in CELLS and not self._first_cell:  # their end tags are often left out
            self._add("\t")
        self._first_cell = tag not in CELLS and (self._first_cell or tag == "tr")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - as above
        self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._left_out:
            while self._left_out.pop() != tag:
                pass
        if tag in APART:  # what begins a line does not end one
            self._break(tag)
        if self._open.get(tag):
            self._open[tag] -= 1

    def handle_data(self, data: str) -> None:
        if self._open["title"] and not self._left_out:
            self._title.append(data)
            return
        if self._open["h1"]:
            self._heading.append(data)
        if not self._open["pre"]:
            data = re.sub(r"\s+", " ", data)
            data = data.lstrip() if not self._body or self._body[-1][-1].isspace() else data
        self._add(data)

    def _break(self, tag: str) -> None:
        if tag in APART:
            self._add("\n\n")
        elif tag in LINES:
            self._add("\n")

    def _add(self, text: str) -> None:
        if self._left_out or not text:
            return
        self._body.append(text)
        if self._open["main"]:
            self._main.append(text)

    def text(self) -> str:
        """The page's text, paragraphs a blank line apart."""
        main = "".join(self._main)
        text = main if main.strip() else "".join(self._body)
        return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t\r\f\v]*\n", "\n", text)).strip()

    def title(self) -> str | None:
        """What the page's head says, else its first heading."""
        return " ".join("".join(self._title).split()) or " ".join("".join(self._heading).split()) or None
