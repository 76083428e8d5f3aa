"""Exports of some of the rows: since a day, from a score on."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from harvester.cli import cli
from harvester.exporting.wanted import Wanted


def rows(out: Path, split: str = "train") -> list[dict[str, Any]]:
    return [row for path in sorted(out.glob(f"data/{split}-*.parquet")) for row in pq.read_table(path).to_pylist()]


def run(*arguments: object) -> Any:
    return CliRunner().invoke(cli, [str(one) for one in arguments])


@pytest.fixture
def judged(folder: Any, provider: Any) -> Path:
    """Ten answers, scored 0 to 9; one held-out answer."""

    def answer(body: dict[str, Any]) -> str:
        last = body["messages"][-1]["content"].strip().splitlines()[-1]
        if last.startswith("rate"):
            return json.dumps({"score": int(last.split()[-1]) if last.split()[-1].isdigit() else 0, "reason": "so"})
        return f"answer {last.split()[-1]}"

    provider.answer = answer
    folder.write("grade.j2", "rate {{ steps.answer.text }}")
    folder.seeds("heldout.jsonl", ["held out 3"])
    folder.data["heldout"] = {"path": "heldout.jsonl"}
    folder.data["steps"].append({"name": "grade", "kind": "judge", "prompt": "grade.j2"})
    folder.save()
    ran = run("collect", folder.path)
    assert ran.exit_code == 0, ran.output
    return Path(folder.path)


def test_rows_under_the_asked_score_are_left_out_of_train_and_counted(judged: Path, tmp_path: Path) -> None:
    ran = run("export", judged, tmp_path / "out", "--min-score", 7)
    assert ran.exit_code == 0, ran.output
    assert sorted(row["score"] for row in rows(tmp_path / "out")) == [7, 8, 9]
    assert len(rows(tmp_path / "out", "test")) == 1
    manifest = json.loads((tmp_path / "out" / "harvester.json").read_text(encoding="utf-8"))
    assert (manifest["min_score"], manifest["dropped"]) == (7, {"under_min_score": 7})
    assert "--min-score 7" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_only_rows_answered_since_then_are_written(judged: Path, folder: Any, tmp_path: Path) -> None:
    run("export", judged, tmp_path / "all")
    latest = max(row["collected_at"] for row in rows(tmp_path / "all"))
    folder.seeds("train.jsonl", [*(f"seed {number}" for number in range(10)), "later 5"])
    assert run("collect", judged).exit_code == 0
    then = (latest + timedelta(microseconds=1)).isoformat()
    run("export", judged, tmp_path / "new", "--since", then)
    assert [json.loads(row["seed"])["text"] for row in rows(tmp_path / "new")] == ["later 5"]
    assert rows(tmp_path / "new", "test") == []
    manifest = json.loads((tmp_path / "new" / "harvester.json").read_text(encoding="utf-8"))
    assert manifest["dropped"] == {"older": 11}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--since", "yesterday"], "--since yesterday: is no date; write it as 2026-"),
        (["--min-score", "high"], "not a valid float"),
    ],
)
def test_what_is_no_date_or_score_is_told_in_one_line(
    judged: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    ran = run("export", judged, tmp_path / "out", *options)
    assert ran.exit_code != 0
    assert said in ran.output + str(ran.exception)


def test_a_score_is_not_asked_of_a_recipe_without_a_judge(folder: Any, tmp_path: Path) -> None:
    run("collect", folder.path)
    ran = run("export", folder.path, tmp_path / "out", "--min-score", 3)
    assert "no step judges the answers" in str(ran.exception)
    assert not (tmp_path / "out").exists()


def test_options_that_make_a_dataset_again_name_the_student_where_the_format_needs_one() -> None:
    assert Wanted(only_terms="allowed", format="distillkit").options() == (
        " --only-terms allowed --format distillkit --tokenizer STUDENT"
    )
    assert "--tokenizer" not in Wanted(format="alpaca").options()
