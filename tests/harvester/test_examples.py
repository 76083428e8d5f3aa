"""The scripts in examples/ and README's Python run as they stand."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def test_ask_and_collect_runs_and_asks_nothing_the_second_time(folder: Any, provider: Any) -> None:
    command = [sys.executable, EXAMPLES / "ask_and_collect.py", folder.path]
    first = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "toy: 10 requests" in first
    assert "collected: 10 answered now, 10 of them accepted" in first
    assert "answer to Name three kinds of payment." in first
    assert "10 rows, 0 without an answer yet" in first
    assert len(provider.asked) == 12
    second = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "collected: 0 answered now" in second
    assert "answer to Name three kinds of payment." in second
    assert len(provider.asked) == 12


def test_the_readmes_python_runs(folder: Any, provider: Any, tmp_path: Path) -> None:
    block = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert block
    (tmp_path / "runs").mkdir()
    folder.path.rename(tmp_path / "runs" / "extract-orders")
    done = subprocess.run([sys.executable, "-c", block[1]], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "answer to Name three kinds of payment.\nanswer to What is an invoice?\n"
    assert len(provider.asked) == 2
