"""examples/check_solutions.py on datasets: what was exported, what was damaged, and what is none."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from good_answers import GOOD  # isort: skip - helpers beside the tests
from second_opinion import SCRIPT  # isort: skip


def recount(*words: Path | str) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def dataset(folder: Path, rows: list[tuple[dict[str, Any], str, bool]]) -> Path:
    """A folder with rows of (seed, answer, accepted)."""
    columns = {
        "messages": [[{"role": "assistant", "content": answer}] for _, answer, _ in rows],
        "seed": [json.dumps(seed) for seed, _, _ in rows],
        "accepted": [accepted for _, _, accepted in rows],
    }
    (folder / "data").mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / "data" / "train-00000.parquet")
    return folder


@pytest.mark.parametrize("name", ["countdown", "reasoning"])
def test_a_stranger_recounts_the_solutions(name: str, shipped: Any, provider: Any) -> None:
    copy = shipped(name, provider=provider)
    copy.answers(**GOOD[name])
    copy.collect()
    copy.export()
    out = copy.path / "out"
    accepted = [*copy.rows(), *(row for row in copy.rows(split="test") if row["accepted"])]
    assert recount(out) == (0, f"{len(accepted)} of {len(accepted)} accepted rows are right\n", "")
    for path in (out / "data").glob("train-*"):
        table = pq.read_table(path)
        seeds = [json.loads(text) for text in table["seed"].to_pylist()]
        other = {"target": 9999} if name == "countdown" else {"result": "9999"}
        wrong = [json.dumps(seed | other) for seed in seeds]
        pq.write_table(table.set_column(table.schema.get_field_index("seed"), "seed", [wrong]), path)
    code, said, _ = recount(out)
    assert code == 1
    assert said.endswith(f"{len(accepted) - 3} of {len(accepted)} accepted rows are right; 3 wrong\n")
    for path in (out / "data").iterdir():
        path.unlink()
    assert recount(out)[0] == 2


def test_what_is_wrong_and_what_cannot_be_read_are_listed_apart(tmp_path: Path) -> None:
    said = [("47", True), ("48", True), ("forty-seven", True), ("49", False)]
    code, out, _ = recount(dataset(tmp_path, [({"result": "47"}, f"\\boxed{{{text}}}", ok) for text, ok in said]))
    assert code == 1
    assert out.splitlines() == [
        'wrong: {"result": "47"}: \'\\\\boxed{48}\'',
        'unreadable: {"result": "47"}: \'\\\\boxed{forty-seven}\'',
        "1 of 3 accepted rows are right; 1 wrong; 1 unreadable",
    ]


def test_rows_that_cannot_be_read_are_not_passed_over(tmp_path: Path) -> None:
    code, out, _ = recount(dataset(tmp_path, [({"result": "47"}, "\\boxed{forty-seven}", True)]))
    assert code == 1
    assert out.endswith("0 of 1 accepted rows are right; 1 unreadable\n")


def test_a_damaged_seed_is_unreadable_and_another_recipes_is_left_out(tmp_path: Path) -> None:
    puzzles = [{"numbers": numbers, "target": target} for numbers, target in ((None, 6), ([3, "x"], 6), ([6], None))]
    rows = [(seed, "<answer>6</answer>", True) for seed in (*puzzles, {"text": "I was charged twice."})]
    code, out, _ = recount(dataset(tmp_path, rows))
    assert code == 1
    assert out.endswith("0 of 3 accepted rows are right; 3 unreadable\n")


def nothing(folder: Path) -> Path:
    return folder / "missing"


def a_file(folder: Path) -> Path:
    (folder / "dataset").write_text("x", encoding="utf-8")
    return folder / "dataset"


def no_parquet(folder: Path) -> Path:
    (folder / "data").mkdir()
    (folder / "data" / "train-00000.parquet").write_text("x", encoding="utf-8")
    return folder


def other_columns(folder: Path) -> Path:
    (folder / "data").mkdir()
    pq.write_table(pa.table({"text": ["x"]}), folder / "data" / "train-00000.parquet")
    return folder


def no_messages(folder: Path) -> Path:
    (folder / "data").mkdir()
    columns = {"messages": ["x"], "seed": ["no JSON"], "accepted": [True]}
    pq.write_table(pa.table(columns), folder / "data" / "train-00000.parquet")
    return folder


def another_recipe(folder: Path) -> Path:
    return dataset(folder, [({"text": "I was charged twice."}, "billing", True)])


def nothing_accepted(folder: Path) -> Path:
    return dataset(folder, [({"result": "47"}, "\\boxed{47}", False)])


@pytest.mark.parametrize(
    "make", [nothing, a_file, no_parquet, other_columns, no_messages, another_recipe, nothing_accepted]
)
def test_one_line_says_that_there_is_nothing_to_check(make: Any, tmp_path: Path) -> None:
    path = make(tmp_path)
    code, out, error = recount(path)
    assert (code, out) == (2, "")
    (line,) = error.splitlines()
    assert line.startswith(f"{path}: nothing to check: ")
    assert line.endswith("name a dataset that `harvester export` wrote")


def test_without_a_dataset_it_says_how_it_is_used() -> None:
    code, out, _ = recount()
    assert code == 2
    assert "python examples/check_solutions.py runs/countdown/dataset" in out
