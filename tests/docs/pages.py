"""The pages of the project and what stands in them. A helper, not a test."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)```(\w*)\s*$")
EXCUSE = re.compile(r"^<!-- not run: (\S.*) -->$")
HEADING = re.compile(r"^#{1,6} (.+?)\s*$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)|<(?:img|a)\b[^>]*?\b(?:src|href)=\"([^\"]+)\"")
IN_CODE = re.compile(r"^ *```.*?^ *```\s*?$|`[^`\n]*`", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    page: Path
    line: int
    language: str
    text: str
    excuse: str | None  # why it is not run

    def __str__(self) -> str:
        return f"{name(self.page)}:{self.line}"


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path) -> Iterator[Block]:
    opened: tuple[int, str, str, str | None] | None = None
    inside: list[str] = []
    before = ""
    for number, line in enumerate(read(page).splitlines(), start=1):
        fence = FENCE.match(line)
        if opened is None and fence:
            excuse = EXCUSE.match(before)
            opened, inside = (number, fence[1], fence[2], excuse[1] if excuse else None), []
        elif opened is not None and fence:
            yield Block(page, opened[0], opened[2], "\n".join(inside) + "\n", opened[3])
            opened = None
        elif opened is not None:
            inside.append(line.removeprefix(opened[1]))
        before = line.strip() or before
    assert opened is None, f"{name(page)}:{opened}: a block that is not closed"


def indented_commands(page: Path) -> Iterator[str]:
    """Lines of unfenced code blocks that call one of our commands."""
    for line in read(page).splitlines():
        found = re.match(r"^    (?:\$ )?((?:harvester|finetune|torchrun) .*)$", line)
        if found:
            yield found[1]


def links(page: Path) -> list[str]:
    return [first or second for first, second in LINK.findall(IN_CODE.sub("", read(page)))]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    found: dict[str, int] = {}
    names = set()
    for heading in HEADING.findall(re.sub(r"^```.*?^```", "", read(page), flags=re.DOTALL | re.MULTILINE)):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        names.add(slug if slug not in found else f"{slug}-{found[slug]}")
        found[slug] = found.get(slug, 0) + 1
    return names
