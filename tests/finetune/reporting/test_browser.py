"""The pages in a real Chromium: desktop and phone width, light and dark, paper, assistive technology."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from folders import edit, make_run

from finetune.reporting import write_report
from finetune.reporting.comparing import compare, write_comparison

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
]  # fmt: skip


# WCAG 2.2's contrast ratio of each text with what lies behind it, drawings included: axe leaves those out.
FAINT = """() => {
  const parts = colour => colour.match(/[0-9.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b]
    .map(part => part / 255).map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || ["TITLE", "DESC", "STYLE"].includes(element.tagName.toUpperCase())) continue;
    const style = getComputedStyle(element);
    const [one, other] = [light(parts(element.ownerSVGElement ? style.fill : style.color)), light(behind(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) faint.push([node.data.trim(), ratio]);
  }
  return faint;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium: the CI script installs it")
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")

    def say(arm: str, number: int) -> str:
        odd = {0: "مرحبا: دفع 45 يورو", 1: "w" * 400, 2: "<b>bold</b>"}
        return odd.get(number, f"{arm} says {number}") if arm == "student" else f"{arm} {number}"

    run = make_run(folder / "a" / "student", prompts=40, say=say)
    other = make_run(folder / "b" / "student", prompts=40, seed=1, config={"lora.rank": 64})
    edit(run / "report.json", lambda report: report.update(overlap={"prompts": 3, "of": 40}))  # a warning
    write_report(run)
    return {"report": run / "report.html", "compare": write_comparison(compare([run, other]), folder / "compare.html")}


def opened(browser: Any, path: Path, *, width: int = 1280, scheme: str = "light") -> tuple[Any, list[str]]:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, noise = context.new_page(), []
    page.on("console", lambda message: noise.append(message.text))
    page.on("pageerror", lambda error: noise.append(str(error)))
    page.on("request", lambda request: noise.append(request.url) if request.url != path.as_uri() else None)
    page.goto(path.as_uri())
    return page, noise


@pytest.mark.parametrize("kind", ["report", "compare"])
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark"), (360, "light")])
def test_it_fits_asks_for_nothing_and_has_no_barrier(
    browser: Any, pages: dict[str, Path], kind: str, width: int, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page, noise = opened(browser, pages[kind], width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
    assert [violation["id"] for violation in found.response["violations"]] == []
    assert [url for url in noise if not url.startswith("data:")] == []
    assert page.evaluate(FAINT) == []
    page.context.close()


def test_the_keyboard_reaches_the_skip_link_and_the_answers(browser: Any, pages: dict[str, Path]) -> None:
    page, _ = opened(browser, pages["report"])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')").startswith("#")
    first = page.locator("details:not(.numbers) summary").first
    before = page.evaluate("document.querySelector('details:not(.numbers)').open")
    first.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('details:not(.numbers)').open") is not before
    page.context.close()


def test_right_to_left_text_runs_from_the_right(browser: Any, pages: dict[str, Path]) -> None:
    page, _ = opened(browser, pages["report"])
    arabic = page.locator("pre", has_text="مرحبا").first
    assert arabic.evaluate("element => getComputedStyle(element).direction") == "rtl"
    page.context.close()


def test_light_and_dark_differ_and_every_chart_has_a_name(browser: Any, pages: dict[str, Path]) -> None:
    colours = []
    for scheme in ("light", "dark"):
        page, _ = opened(browser, pages["report"], scheme=scheme)
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        charts = page.get_by_role("img").count()
        assert charts >= 4
        assert page.locator("svg[role=img][aria-labelledby]").count() == charts
        page.context.close()
    assert colours[0] != colours[1]


def box_of(part: Any) -> Any:
    return part.bounding_box()


def test_it_prints_on_white_paper_with_the_answers_in_it(browser: Any, pages: dict[str, Path]) -> None:
    page, _ = opened(browser, pages["report"], scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") in (
        "rgb(255, 255, 255)",
        "rgba(0, 0, 0, 0)",
    )
    folded = page.locator("details.case:not([open]) pre")
    assert folded.count()
    assert all(box is not None and box["height"] > 0 for box in map(box_of, folded.all()))
    assert page.pdf(format="A4")[:5] == b"%PDF-"
    page.context.close()
