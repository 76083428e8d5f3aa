from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.reporting.plots import Chart, Range, Series, bars, lines, ranges
from finetune.reporting.scales import finite

NUMBERS = st.floats(-1e6, 1e6) | st.floats(1e-6, 1e-3)


def drawing(chart: Chart) -> Any:
    return ET.fromstring(str(chart.svg))  # noqa: S314 - our own drawing


def text_of(svg: Any) -> str:
    return " ".join(svg.itertext())


@given(st.lists(st.tuples(st.integers(0, 10_000), NUMBERS), min_size=1, max_size=50))
def test_any_points_give_a_drawing_that_stays_in_its_box(points: list[tuple[float, float]]) -> None:
    svg = drawing(lines("c", "Loss", ("step", "nats"), [Series("train", sorted(points), 0)]))
    _, _, width, height = map(float, svg.get("viewBox").split())
    for element in svg.iter():
        if element.tag.endswith("polyline"):
            places = [tuple(map(float, pair.split(","))) for pair in element.get("points").split()]
            assert all(-0.5 <= x <= width + 0.5 and -0.5 <= y <= height + 0.5 for x, y in places)
    assert "nan" not in ET.tostring(svg, encoding="unicode").lower().replace("nats", "")


def test_a_hundred_thousand_points_are_thinned() -> None:
    chart = lines("c", "Loss", ("step", "nats"), [Series("train", [(n, 1.0 / (n + 1)) for n in range(100_000)], 0)])
    assert len(str(chart.svg)) < 30_000


def test_what_is_no_number_is_left_out() -> None:
    nan, inf = float("nan"), float("inf")
    assert finite([(1, 0.5), (2, nan), (3, inf), (4, None), (None, 1.0), (5, 0.25)]) == [(1, 0.5), (5, 0.25)]


@pytest.mark.parametrize(
    "chart",
    [
        lines("a", "Loss", ("step", "nats"), [Series("train", [(1, 2.0)], 0)]),
        ranges("b", "Scores", "%", [Range("Student", 84.0, 75.0, 90.0, "84 %", 0)], ends=(0, 100)),
        bars("c", "Time", "minutes", [("Train", 2.0, "2.0 min"), ("Collect", 0.0, "0.0 min")]),
    ],
    ids=["lines", "ranges", "bars"],
)
def test_every_chart_has_a_name_a_description_and_its_numbers(chart: Chart) -> None:
    svg = drawing(chart)
    assert svg.get("role") == "img"
    labels = {str(svg.get("aria-labelledby")), str(svg.get("aria-describedby"))}
    names = {element.get("id"): "".join(element.itertext()) for element in svg.iter() if element.get("id") in labels}
    assert names.keys() == labels
    assert len(names) == 2
    assert all(names.values())
    assert chart.rows


def test_hostile_names_are_text() -> None:
    chart = ranges("b", "<b>&", "%", [Range('<script>"', 1.0, None, None, "<i>", 0)])
    assert '<script>"' in text_of(drawing(chart))
