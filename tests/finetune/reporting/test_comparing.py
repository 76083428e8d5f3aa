import json
from pathlib import Path

import pytest
from folders import make_run
from test_page import Page
from toys import Command

from finetune.errors import BadInput
from finetune.reporting.comparing import compare, comparison_html


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    better = {"base": 0.0, "teacher": 0.83, "student": 0.9}
    return (
        make_run(tmp_path / "small" / "student"),
        make_run(tmp_path / "large" / "student", shares=better, seed=1, config={"lora.rank": 64, "training.epochs": 4}),
    )


def test_runs_are_named_by_what_tells_them_apart_and_by_settings_that_differ(two: tuple[Path, Path]) -> None:
    found = compare(two)
    assert found.names == ("small", "large")
    assert found.settings == {"lora.rank": (16, 64), "training.epochs": (2, 4)}
    assert found.same_prompts == (True, True)


def test_students_on_the_same_prompts_are_compared_in_pairs(two: tuple[Path, Path]) -> None:
    (change,) = compare(two).changes
    assert change.value == pytest.approx(0.06)
    assert change.interval is not None
    assert change.interval[0] < 0.06 < change.interval[1]


def test_other_prompts_are_shown_and_not_compared(two: tuple[Path, Path], tmp_path: Path, finetune: Command) -> None:
    other = make_run(tmp_path / "other" / "student", first=500)
    (change,) = compare([two[0], other]).changes
    assert (change.value, change.refusal) == (None, "not comparable: different held-out prompts")
    code, out, _ = finetune("compare", two[0], other)
    assert code == 0
    assert "not comparable: different held-out prompts" in out


def test_students_on_a_handful_of_prompts_are_not_called_different(tmp_path: Path, finetune: Command) -> None:
    right, wrong = ({"base": 0.0, "teacher": 1.0, "student": share} for share in (1.0, 0.0))
    both = [make_run(tmp_path / name, prompts=5, shares=shares) for name, shares in (("a", wrong), ("b", right))]
    (change,) = compare(both).changes
    assert (change.value, change.interval) == (1.0, None)
    assert "5 prompts are too few" in finetune("compare", *both)[1]
    page = Page(comparison_html(compare(both)))
    assert "b: +100.0 points against a; 5 prompts are too few" in page.text


def test_students_that_agree_on_every_prompt_may_still_differ(tmp_path: Path) -> None:
    both = [make_run(tmp_path / name, prompts=12) for name in "ab"]
    (change,) = compare(both).changes
    assert change.value == 0
    assert change.interval is not None
    assert change.interval[0] < -0.1 < 0.1 < change.interval[1]


def test_the_page_is_whole_and_has_every_run(two: tuple[Path, Path]) -> None:
    page = Page(comparison_html(compare(two)))
    assert (page.wrong, page.open) == ([], [])
    assert "small" in page.text
    assert "large" in page.text
    assert "lora.rank" in page.text


def test_the_command_prints_json_and_writes_a_page(two: tuple[Path, Path], tmp_path: Path, finetune: Command) -> None:
    code, out, err = finetune("compare", *two, "--json", "--out", tmp_path / "c.html")
    assert code == 0
    assert [run["name"] for run in json.loads(out)["runs"]] == ["small", "large"]
    assert "c.html" in err
    assert (tmp_path / "c.html").read_text().startswith("<!doctype html>")


def test_a_file_that_is_no_page_is_never_written_over(two: tuple[Path, Path], finetune: Command) -> None:
    before = (two[0] / "run.json").read_bytes()
    code, _, err = finetune("compare", *two, "--out", two[0] / "run.json")
    assert code == 2
    assert "run.json: exists and is not a page; name another file" in err
    assert (two[0] / "run.json").read_bytes() == before


def test_what_cannot_be_compared_is_one_clear_line(two: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="name at least two runs, each once"):
        compare([two[0]])
    with pytest.raises(BadInput, match="name at least two runs, each once"):
        compare([two[0], two[0]])
    (two[1] / "report.json").unlink()
    with pytest.raises(BadInput, match=r"run `finetune evaluate .*` first"):
        compare(two)
    with pytest.raises(BadInput, match="name a folder that"):
        compare([two[0], tmp_path / "nowhere"])
