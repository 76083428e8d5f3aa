"""The recipe code: tests that tell right from nearly right, and scripted answers that are run in the sandbox."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harvester.starting import recipes

SOLUTIONS = Path(__file__).parent / "solutions"
NAMES = ("train", "heldout")
SECOND = {
    "right": "def word_counts(text):\n    found = {}\n    for word in text.lower().split():\n"
    "        found[word] = found.get(word, 0) + 1\n    return found",
    "wrong": "def word_counts(text):\n    return {word: text.count(word) for word in text.split()}",
}


def seeds(name: str) -> list[dict[str, Any]]:
    text = (recipes()["code"] / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def failure(solutions: str, seed: dict[str, Any]) -> Exception | None:
    """What a task's tests raise; no sandbox is needed for solutions of our own."""
    names: dict[str, Any] = {}
    exec((SOLUTIONS / solutions).read_text(encoding="utf-8"), names)  # noqa: S102
    assert seed["function"] in names
    try:
        exec("\n".join(seed["tests"]), names)  # noqa: S102
    except Exception as error:  # noqa: BLE001 - wrong solutions fail in every way
        return error
    return None


@pytest.mark.parametrize("name", NAMES)
def test_a_right_solution_passes_its_tests_and_one_that_is_nearly_right_does_not(name: str) -> None:
    for seed in seeds(name):
        assert failure("right.py", seed) is None, seed["function"]
        assert failure("wrong.py", seed) is not None, seed["function"]


def test_each_task_is_there_once_and_has_edge_cases() -> None:
    found = [seed for name in NAMES for seed in seeds(name)]
    assert len({seed["function"] for seed in found}) == len(found)
    assert len({seed["task"] for seed in found}) == len(found)
    assert min(sum("assert" in line for line in seed["tests"]) for seed in found) >= 3
    assert {seed["topic"] for seed in seeds("heldout")} <= {seed["topic"] for seed in seeds("train")}


def fenced(code: str) -> str:
    return f"Here is the function:\n\n```python\n{code}\n```\n\nIt ignores what is no letter or digit."


def palindrome() -> str:
    source = (SOLUTIONS / "right.py").read_text(encoding="utf-8")
    (found,) = re.findall(r"(def is_palindrome\(.*?\n)\n\n", source, re.DOTALL)
    return str(found)


def write(body: dict[str, Any]) -> str:
    sample = body["seed"]
    if "`is_palindrome`" in body["messages"][-1]["content"]:
        return [
            "A palindrome reads the same both ways.",
            fenced("def is_palindrome(text):\n    return text == text[::-1]"),
            fenced(palindrome()),
            fenced("def is_palindrome(text):\n    return True"),
        ][sample]
    return fenced(SECOND["wrong"]) if sample else SECOND["right"]


def test_the_first_code_that_passes_all_tests_is_kept_as_it_was_written(shipped: Any, provider: Any) -> None:
    recipe = shipped("code", provider=provider, limit=2)
    recipe.answers(write=write)
    assert recipe.collect().failed == 0
    assert recipe.collect().answered == 0
    assert recipe.export().dropped == {"verify:code": 6}
    rows = recipe.rows()
    assert [row["sample"] for row in rows] == [2, 0]
    assert rows[0]["messages"] == [
        {"role": "user", "content": f"{seeds('train')[0]['task']} The function is called `is_palindrome`."},
        {"role": "assistant", "content": fenced(palindrome())},
    ]
    assert rows[1]["messages"][-1]["content"] == SECOND["right"]
    test = recipe.rows(split="test")
    assert len(test) == 8
    assert {row["drop_reason"] for row in test} == {"verify:code"}
    assert "count_vowels" in test[0]["checks"][0]["reason"]


def test_nobody_is_shown_the_tests(shipped: Any, provider: Any) -> None:
    recipe = shipped("code", provider=provider, limit=1)
    recipe.collect()
    assert len(provider.asked) == 2 * 4
    assert "assert" not in json.dumps(provider.asked)


def test_without_the_sandbox_one_line_says_what_to_install(shipped: Any, tmp_path: Path) -> None:
    recipe = shipped("code")
    empty = tmp_path / "empty"
    empty.mkdir()
    command = [sys.executable, "-m", "harvester", "check", recipe.path]
    done = subprocess.run(command, env={**os.environ, "PATH": str(empty)}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "recipe.yaml: steps.0.verify.code" in line
    assert "install bubblewrap" in line
