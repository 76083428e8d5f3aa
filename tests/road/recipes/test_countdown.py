"""The recipe countdown: puzzles that can be solved, and scripted answers of which only right ones are kept."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harvester.starting import recipes
from harvester.status import status
from harvester.verify import build, resolve

from good_answers import solution  # isort: skip - a helper beside the tests

FOLDER = recipes()["countdown"]
SPLITS = ("train", "heldout")


def seeds(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_rerun_writes_the_same_puzzles(tmp_path: Path) -> None:
    script = shutil.copy(FOLDER / "make_seeds.py", tmp_path)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout == "train.jsonl: 40 puzzles\nheldout.jsonl: 16 puzzles\n"
    for name in SPLITS:
        assert (tmp_path / f"{name}.jsonl").read_bytes() == (FOLDER / f"{name}.jsonl").read_bytes()


@pytest.mark.parametrize("name", SPLITS)
def test_every_puzzle_has_a_solution_that_the_verifier_takes(name: str) -> None:
    (verify,) = build(resolve({"arithmetic": {"numbers": "numbers", "target": "target"}}, Path()))
    for seed in seeds(name):
        found = solution(seed["numbers"], seed["target"])
        assert found, seed
        assert verify(f"<answer>{found}</answer>", seed).passed, seed
        assert seed["size"] == len(seed["numbers"])
        assert seed["target"] not in seed["numbers"]


def test_no_puzzle_is_there_twice_and_both_files_are_equally_hard() -> None:
    puzzles = [(*sorted(seed["numbers"]), seed["target"]) for name in SPLITS for seed in seeds(name)]
    assert len(set(puzzles)) == len(puzzles)
    assert Counter(seed["size"] for seed in seeds("train")) == {3: 20, 4: 20}
    assert Counter(seed["size"] for seed in seeds("heldout")) == {3: 8, 4: 8}


def test_the_example_in_the_template_is_right_and_no_puzzle_of_the_files() -> None:
    text = (FOLDER / "solve.j2").read_text(encoding="utf-8")
    ((numbers, target),) = re.findall(r"Numbers: ([\d, ]+)\. Target: (\d+)\.", text)
    example = {"numbers": [int(number) for number in numbers.split(",")], "target": int(target)}
    (answer,) = re.findall(r"<answer>\S.*</answer>", text)
    (verify,) = build(resolve({"arithmetic": {"numbers": "numbers", "target": "target"}}, Path()))
    assert verify(answer, example).passed
    steps = re.findall(r"((\d+) [-+*/] (\d+) = (\d+))", text)
    assert len(steps) == 4
    for step, left, right, value in steps:
        assert verify(step, {"numbers": [int(left), int(right)], "target": int(value)}).passed, step
    assert sorted(example["numbers"]) not in [sorted(seed["numbers"]) for name in SPLITS for seed in seeds(name)]


SAID = {
    "15, 13, 5": [
        "<answer>15 * 5 + 13 = 90</answer>",
        "<answer>15 + 73</answer>",
        "I try 15 * 5 = 75 first.\n<answer>15 * 5 + 13</answer>",
        "<answer>(15 * 5) + 13</answer>",
    ],
    "4, 24, 10": [
        "<answer>24 + 10 - 4</answer>\nOr rather:\n<answer>24 + 10</answer>",
        "<think>24 + 10 = 34.</think>34 - 4 = 30\n\n<answer>24 + 10 - 4 = 30</answer>",
        "<answer>4 + 4 + 24 - 10</answer>",
        "<answer>__import__('os')</answer>",
    ],
    "19, 10, 3": ["19 - 10 - 3", "<answer>19 - 10 - 3 = 6</answer>", "<answer>\\frac{19 - 10}{3}</answer>", "6"],
}


def solve(body: dict[str, Any]) -> str:
    puzzle = body["messages"][-1]["content"]
    return next((said[body["seed"]] for numbers, said in SAID.items() if f"Numbers: {numbers}." in puzzle), "I pass.")


def test_the_first_solution_that_evaluates_to_the_target_is_kept(shipped: Any, provider: Any) -> None:
    recipe = shipped("countdown", provider=provider)
    recipe.answers(solve=solve)
    assert recipe.collect().failed == 0
    assert recipe.collect().answered == 0
    assert recipe.export().dropped == {"verify:arithmetic": 7, "not_selected": 2}
    rows = recipe.rows()
    assert [row["sample"] for row in rows] == [2, 1, 0]
    assert [row["messages"][-1]["content"] for row in rows] == [
        SAID["15, 13, 5"][2],
        "34 - 4 = 30\n\n<answer>24 + 10 - 4 = 30</answer>",
        SAID["19, 10, 3"][0],
    ]
    assert [row["reasoning"] for row in rows] == [None, "24 + 10 = 34.", None]
    first = rows[0]["messages"][0]
    assert first["role"] == "user"
    assert first["content"].startswith("Make 88 of the numbers 15, 13, 5, each used exactly once")


def test_held_out_puzzles_keep_every_answer_with_what_is_wrong_in_it(shipped: Any, provider: Any) -> None:
    recipe = shipped("countdown", provider=provider, limit=1)
    said = ["<answer>13 + 12 + 21 + 0</answer>", "<answer>13 + 12 + 21</answer>", "<answer>21 + 13</answer>", "none"]
    recipe.answers(solve=lambda body: said[body["seed"]])
    recipe.collect()
    recipe.export()
    rows = recipe.rows(split="test")
    assert [(row["accepted"], row["drop_reason"]) for row in rows] == [
        (False, "verify:arithmetic"),
        (True, None),
        *[(False, "verify:arithmetic")] * 2,
    ]
    reasons = [row["checks"][0]["reason"] for row in rows]
    assert reasons[0] == "uses 0, which is none of the given numbers"
    assert reasons[1] is None
    assert "34, not 46" in reasons[2]
    assert recipe.rows() == []


def test_what_is_never_solved_is_seen_in_the_balance(shipped: Any, provider: Any) -> None:
    recipe = shipped("countdown", provider=provider, limit=40)

    def three_only(body: dict[str, Any]) -> str:
        given = re.findall(r"\d+", body["messages"][-1]["content"])
        numbers, target = list(map(int, given[:-1])), int(given[-1])
        return f"<answer>{solution(numbers, target) if len(numbers) == 3 else 'none'}</answer>"

    recipe.answers(solve=three_only)
    recipe.collect()
    found = status(recipe.recipe)
    assert found["splits"]["train"]["accepted"] == 20 * 4
    assert any("size" in warning and "4" in warning for warning in found["warnings"])
