"""Small SVG charts that take their colours from the page, say what they show, and carry their numbers as a table.

Drawn here and not by a plotting library, whose pictures follow neither the page's light and dark nor a reader's font
size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from finetune.reporting.scales import Point, Scale, fit, thin
from finetune.reporting.words import MINUS

WIDTH = 380
_LEFT, _RIGHT = 46, 12
_PLOT_HEIGHT, _ROW_HEIGHT, _AXIS_HEIGHT, _LEGEND_HEIGHT = 170, 44, 38, 20
_LETTER = 6.4
"""Width of a letter at the charts' font size, on the generous side."""
_LONGEST_NAME = 30
_TABLE_ROWS = 50
_DASHES = ("none", "7 3", "2 3", "9 3 2 3")
_SHAPES = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",  # circle
    "M-3.6-3.6h7.2v7.2h-7.2z",  # square
    "M0-5L5 0L0 5L-5 0z",  # diamond
    "M0-4.6L4.8 3.8H-4.8z",  # triangle, up
    "M0 4.6L4.8-3.8H-4.8z",  # triangle, down
)
COLOURS = 6


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure: the picture and the same numbers in words."""

    ident: str
    title: str
    svg: Markup
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart; few points get marks."""

    name: str
    points: Sequence[Point]
    style: int = 0  # which colour and mark
    marks: bool = False


@dataclass(frozen=True, slots=True)
class Range:
    """One row of a chart: a value within [low, high], where known, on a common axis."""

    name: str
    value: float
    low: float | None
    high: float | None
    text: str  # the numbers, written out
    colour: int = 0
    inner: tuple[float, float] | None = None  # the middle half, drawn thicker


def lines(ident: str, title: str, axes: tuple[str, str], series: Sequence[Series], note: str = "") -> Chart:
    """Lines over a common axis; the vertical axis is logarithmic where the values span too much.

    Args:
        ident: unique on the page.
        title: what it shows.
        axes: horizontal and vertical label, with units.
        series: each with at least one point; the points in order.
        note: a sentence to stand under it.
    """
    shown = [replace(line, points=thin(line.points)) for line in series]
    every = [point for line in shown for point in line.points]
    legend = _legend(shown)
    top = 22 + legend.height
    across = fit([x for x, _ in every], _LEFT, WIDTH - _RIGHT)
    up = fit([y for _, y in every], top + _PLOT_HEIGHT, top + 6, from_zero=True, may_log=True)
    unit = f"{axes[1]}, logarithmic" if up.log else axes[1]
    parts = [
        _text(0, 11, unit, "start", "quiet"),
        legend.svg,
        _grid(up),
        _bottom(across, top + _PLOT_HEIGHT, axes[0]),
        *(_line(place, line, across, up) for place, line in enumerate(shown)),
    ]
    says = "; ".join(
        f"{line.name}: {_number(line.points[0][1])} at {_number(line.points[0][0])}"
        + (f", {_number(line.points[-1][1])} at {_number(line.points[-1][0])}" if len(line.points) > 1 else "")
        for line in shown
    )
    svg = _svg(ident, title, f"{unit} by {axes[0]}. {says}.", top + _PLOT_HEIGHT + _AXIS_HEIGHT, parts)
    rows = [(line.name, _number(x), _number(y)) for line in series for x, y in thin(line.points, _TABLE_ROWS)]
    return Chart(ident, title, svg, ("line", *axes), (*rows,), note)


def ranges(
    ident: str, title: str, axis: str, rows: Sequence[Range], *, ends: tuple[float, float] | None = None
) -> Chart:
    """A row for each value with its interval.

    Args:
        ident: unique on the page.
        title: what it shows.
        axis: its label, with the unit.
        rows: at least one.
        ends: of the axis; from zero to what fits by default.
    """
    bottom = len(rows) * _ROW_HEIGHT
    every = [value for row in rows for value in (row.value, row.low, row.high) if value is not None]
    across = Scale(*ends, 6, WIDTH - _RIGHT) if ends else fit(every, 6, WIDTH - _RIGHT, from_zero=True)
    parts = [
        _uprights(across, bottom),
        _bottom(across, bottom, axis),
        *(_range(place * _ROW_HEIGHT, row, across) for place, row in enumerate(rows)),
    ]
    says = "; ".join(f"{row.name}: {row.text}" for row in rows)
    svg = _svg(ident, title, f"{axis}. {says}.", bottom + _AXIS_HEIGHT, parts)
    return Chart(ident, title, svg, ("", axis), tuple((row.name, row.text) for row in rows))


def bars(ident: str, title: str, axis: str, rows: Sequence[tuple[str, float, str]]) -> Chart:
    """A bar from zero for each (name, value, value written out)."""
    bottom = len(rows) * _ROW_HEIGHT
    across = fit([value for _, value, _ in rows], 6, WIDTH - _RIGHT, from_zero=True)
    parts = [_uprights(across, bottom), _bottom(across, bottom, axis)]
    for place, (name, value, text) in enumerate(rows):
        top, end = place * _ROW_HEIGHT, across.place(value)
        parts += [
            _row_texts(top, name, text),
            Markup('<rect class="bar" x="6" y="{}" width="{:.1f}" height="10" rx="1"/>').format(
                top + 22, max(end - 6, 0.5)
            ),
        ]
    says = "; ".join(f"{name}: {text}" for name, _, text in rows)
    svg = _svg(ident, title, f"{axis}. {says}.", bottom + _AXIS_HEIGHT, parts)
    return Chart(ident, title, svg, ("", axis), tuple((name, text) for name, _, text in rows))


def _svg(ident: str, title: str, says: str, height: int, parts: Sequence[Markup]) -> Markup:
    return Markup(
        '<svg role="img" viewBox="0 0 {} {}" aria-labelledby="{}-title" aria-describedby="{}-desc">'
        '<title id="{}-title">{}</title><desc id="{}-desc">{}</desc>{}</svg>'
    ).format(WIDTH, height, ident, ident, ident, title, ident, says, Markup("\n").join(parts))


def _line(place: int, line: Series, across: Scale, up: Scale) -> Markup:
    spots = [(across.place(x), up.place(y)) for x, y in line.points]
    marked = spots if line.marks or len(spots) == 1 else []
    return Markup('<g class="colour{}"><polyline class="line" stroke-dasharray="{}" points="{}"/>{}</g>').format(
        line.style % COLOURS,
        _DASHES[place % len(_DASHES)],
        " ".join(f"{x:.1f},{y:.1f}" for x, y in spots),
        Markup("").join(_mark(line.style, x, y) for x, y in marked),
    )


def _range(top: int, row: Range, across: Scale) -> Markup:
    y, x = top + 29, across.place(row.value)
    parts = [_row_texts(top, row.name, row.text)]
    for ends, css in (((row.low, row.high), "whisker"), (row.inner or (None, None), "inner")):
        if ends[0] is not None and ends[1] is not None:
            parts.append(
                Markup('<line class="{}" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(
                    css, across.place(ends[0]), across.place(ends[1]), y, y
                )
            )
    return Markup('<g class="colour{}">{}{}</g>').format(
        row.colour % COLOURS, Markup("").join(parts), _mark(row.colour, x, y)
    )


def _row_texts(top: int, name: str, text: str) -> Markup:
    return _text(6, top + 16, _short(name), "start", "") + _text(WIDTH - _RIGHT, top + 16, text, "end", "number")


def _grid(up: Scale) -> Markup:
    return Markup("").join(
        Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>{}').format(
            _LEFT, WIDTH - _RIGHT, y, y, _text(_LEFT - 6, y + 4, _number(tick), "end", "quiet number")
        )
        for tick in up.ticks()
        for y in (up.place(tick),)
    )


def _uprights(across: Scale, bottom: int) -> Markup:
    return Markup("").join(
        Markup('<line class="grid" x1="{:.1f}" x2="{:.1f}" y1="4" y2="{}"/>').format(x, x, bottom)
        for x in map(across.place, across.ticks())
    )


def _bottom(across: Scale, y: int, axis: str) -> Markup:
    """The horizontal axis: its ticks, as many as have room, and its label below them."""
    parts = [
        Markup('<line class="axis" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(across.start, across.end, y, y)
    ]
    free = -1.0
    for tick in across.ticks():
        text, x = _number(tick), across.place(tick)
        half = len(text) * _LETTER / 2
        left = min(max(x - half, 0), WIDTH - 2 * half)
        if left >= free:
            parts.append(_text(left + half, y + 15, text, "middle", "quiet number"))
            free = left + 2 * half + _LETTER
    return Markup("").join([*parts, _text(WIDTH - _RIGHT, y + 31, axis, "end", "quiet")])


@dataclass(frozen=True, slots=True)
class _Legend:
    svg: Markup
    height: int


def _legend(lines: Sequence[Series]) -> _Legend:
    """The lines' names beside a sample of each, in rows that fit; none for a line alone."""
    if len(lines) == 1:
        return _Legend(Markup(""), 0)
    parts, x, y = [], 0.0, 26
    for place, line in enumerate(lines):
        name = _short(line.name)
        width = 36 + len(name) * _LETTER + 10
        if x and x + width > WIDTH:
            x, y = 0.0, y + _LEGEND_HEIGHT
        parts.append(
            Markup(
                '<g class="colour{}"><line class="line" stroke-dasharray="{}" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>'
                "{}</g>{}"
            ).format(
                line.style % COLOURS,
                _DASHES[place % len(_DASHES)],
                x,
                x + 28,
                y,
                y,
                _mark(line.style, x + 14, y) if line.marks else "",
                _text(x + 34, y + 4, name, "start", ""),
            )
        )
        x += width
    return _Legend(Markup("").join(parts), y - 26 + _LEGEND_HEIGHT)


def _mark(place: int, x: float, y: float) -> Markup:
    return Markup('<path class="mark" transform="translate({:.1f} {:.1f})" d="{}"/>').format(
        x, y, _SHAPES[place % len(_SHAPES)]
    )


def _text(x: float, y: float, text: str, anchor: str, css: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>').format(x, y, anchor, css, text)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"


def _number(value: float) -> str:
    value = float(f"{value:.3g}") if abs(value) < 1000 else round(value)  # noqa: PLR2004 - three figures say enough
    return f"{value:,.10g}".replace("-", MINUS)
