"""What `finetune generate` is asked, checked before any model is loaded for it."""

import json
from pathlib import Path
from typing import Any

import pytest
from toys import Command

USER = {"role": "user", "content": "q"}


@pytest.mark.parametrize(
    "line",
    [
        {"prompt": 5},
        {"prompt": None},
        {"messages": 3},
        {"messages": [USER, "x"]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": None}]},
        {"messages": {"role": "user"}},
        {"messages": []},
        {"prompt": "\ud800"},
        {"messages": [USER | {"role": "\ud800"}]},
    ],
    ids=str,
)
def test_a_bad_row_is_named_by_its_line(line: Any, finetune: Command, tmp_path: Path) -> None:
    (tmp_path / "asked.jsonl").write_text(json.dumps({"prompt": "fine"}) + "\n\n" + json.dumps(line) + "\n")
    code, out, err = finetune("generate", tmp_path, "--input", tmp_path / "asked.jsonl")
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert "asked.jsonl: line 3: " in err


def test_an_argument_that_is_no_text_is_named(finetune: Command, tmp_path: Path) -> None:
    code, _, err = finetune("generate", tmp_path, "fine", "\udcff")
    assert (code, err.count("\n")) == (2, 1), err
    assert "PROMPT 2: holds half of a surrogate pair" in err


def test_good_rows_pass_and_empty_lines_are_nothing(finetune: Command, tmp_path: Path) -> None:
    lines = [{"prompt": ""}, {"messages": [USER]}]
    (tmp_path / "asked.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    code, _, err = finetune("generate", tmp_path / "nowhere", "--input", tmp_path / "asked.jsonl")
    assert code == 2
    assert "nowhere/run.json: No such file" in err  # the rows were fine
