"""docs/reference/run.md names every file of a real run and every field in them, and no others."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pages
import pytest
import workplace

PAGE = pages.read(pages.ROOT / "docs/reference/run.md")
ELSEWHERE = {"weights/", "tensorboard/", "heldout.json", "heldout.jsonl"}
"""Only of `--method full`, of `--tensorboard`, and where no held-out row has a reference."""


@pytest.fixture
def a_run(place: Path) -> Path:
    """A run that is trained and evaluated with every arm; done once."""
    for line in (
        "harvester collect runs/orders",
        "harvester export runs/orders runs/page/dataset",
        "finetune train runs/page/dataset --out runs/page/student --patience 1",
        "finetune train runs/page/dataset --out runs/page/other",
        "finetune evaluate runs/page/student --unfiltered runs/page/other",
    ):
        if not (place / "runs/page/student/report.json").exists():
            workplace.run(line.split(), place / "tiny")
    return place / "runs/page/student"


def section(heading: str) -> str:
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def first_cells(text: str) -> list[str]:
    """The names in the first column of a table: `arms.ARM.n`, `.score` is n and score of arms.ARM."""
    found: list[str] = []
    for cell in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE):
        names = re.findall(r"`([^`]+)`", cell)
        stem = names[0].rpartition(".")[0]
        found += [f"{stem}{name}" if name.startswith(".") else name for name in names]
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def files(run: Path) -> Iterator[str]:
    for path in run.iterdir():
        if path.name != "answers":
            yield f"{path.name}/" if path.is_dir() else path.name
    for path in (run / "answers").iterdir():
        yield f"answers/{path.name if path.stem == 'prompts' else f'ARM{path.suffix}'}"


def test_every_file(a_run: Path) -> None:
    assert set(first_cells(PAGE.split("\n## ")[0])) - ELSEWHERE == set(files(a_run))


def test_every_field_of_run_json(a_run: Path) -> None:
    assert sorted(first_cells(section("run.json"))) == sorted(json.loads((a_run / "run.json").read_text()))


def test_every_field_of_the_metrics(a_run: Path) -> None:
    told = set(re.findall(r"`(\w+)`", section("metrics.jsonl")))
    assert told == {name for line in lines(a_run / "metrics.jsonl") for name in line}


def test_every_field_of_an_answer_and_every_arm(a_run: Path) -> None:
    text = section("answers/ARM.jsonl")
    arms = {path.stem for path in (a_run / "answers").glob("*.jsonl")} - {"prompts"}
    assert set(re.findall(r"`(\w+)`", text.split("\n|")[0])) == arms
    for arm in arms:
        for line in lines(a_run / "answers" / f"{arm}.jsonl"):
            assert set(first_cells(text)) == set(line)
    (prompts,) = re.findall(r"^\| `answers/prompts.jsonl` \| .*?: (.*) \|.*\|$", PAGE, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", prompts)) == set(lines(a_run / "answers/prompts.jsonl")[0])


def test_every_field_of_the_report(a_run: Path) -> None:
    report = json.loads((a_run / "report.json").read_text(encoding="utf-8"))
    text = section("report.json")
    names = first_cells(text)
    assert {name.split(".")[0] for name in names} == set(report)
    arms = {name.removeprefix("arms.ARM.").split(".")[0] for name in names if name.startswith("arms.")}
    assert {tuple(sorted(arm)) for arm in report["arms"].values()} == {tuple(sorted(arms))}
    (said,) = re.findall(r"^`cost` has (.*?)\. What needs", text, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"`(\w+)`", said)) == set(report["cost"])
    for name in ("differences", "gap_recovered", "overlap", "minutes", "dataset", "run"):
        (row,) = re.findall(rf"^\| `{name}` \| (.*) \|$", text, re.MULTILINE)
        told = set(re.findall(r"`(\w+)`", row))
        found = report[name][0] if name == "differences" else report[name]
        assert told == {key for key in found if key != "refusal"} | (told & {"refusal"})
    assert all(set(item) == {"value", "unit", "how"} for item in report["cost"].values())
