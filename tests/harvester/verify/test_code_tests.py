"""code: an answer's Python and the seed's tests, in the sandbox."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harvester.errors import BadInput, StoppedEarly
from harvester.records import Check
from harvester.verify import build, resolve, sandbox
from harvester.verify.code_tests import code_in

Judged = Callable[..., Check]
ADD = "def add(a, b):\n    return a + b"
TESTS = {"tests": "assert add(1, 2) == 3\nassert add(-1, 1) == 0"}


def fenced(code: str, language: str = "python") -> str:
    return f"Here it is:\n\n```{language}\n{code}\n```\nDone."


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (fenced(ADD), ADD),
        (fenced(ADD, "py"), ADD),
        (fenced(ADD, ""), ADD),
        (ADD, ADD),
        (fenced("pip install x", "bash") + "\n" + fenced(ADD), ADD),
        (fenced("import math") + fenced(ADD, "Python"), "import math\n\n" + ADD),
        ("```python\n" + ADD, "```python\n" + ADD),
        ("", ""),
    ],
)
def test_which_part_of_an_answer_is_its_code(answer: str, code: str) -> None:
    assert code_in(answer) == code


@pytest.mark.parametrize(
    "tests",
    [
        TESTS["tests"],
        ["assert add(1, 2) == 3", "assert add(2, 2) == 4"],
        "def test_one():\n    assert add(1, 2) == 3",
        "import unittest\nclass T(unittest.TestCase):\n    def test_one(self):\n        self.assertEqual(add(1, 2), 3)",
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nassert add(P(1).x, 2) == 3",
        "import json, tempfile\nwith tempfile.TemporaryFile() as f:\n    f.write(b'x')\nassert add(1, 2) == 3",
        "import subprocess, sys\nassert subprocess.run([sys.executable, '-c', '1']).returncode == 0\nassert add(1, 2) == 3",
        "import threading\nt = threading.Thread(target=add, args=(1, 2)); t.start(); t.join()\nassert add(1, 2) == 3",
    ],
)
def test_a_right_answer_passes_tests_of_every_kind(judged: Judged, tests: Any) -> None:
    check = judged("code", {"tests": "tests"}, fenced(ADD), {"tests": tests})
    assert check.passed, check.reason


@pytest.mark.parametrize(
    ("answer", "tests", "reason"),
    [
        (fenced(ADD.replace("+", "-")), None, "the tests (assert add(1, 2) == 3): AssertionError"),
        ("", None, "NameError: name 'add' is not defined"),
        ("def add(", None, "the answer: SyntaxError"),
        ("import sys; sys.exit(0)", None, "the answer: SystemExit: 0"),
        ("import os; os._exit(0)", None, "ends before its tests do"),
        ("raise KeyboardInterrupt", None, "KeyboardInterrupt"),
        (ADD + "\nimport os\nif os.fork(): os._exit(0)", None, "ends before its tests do"),
        (
            ADD + "\nimport os\nos.write = os.read = None\nos._exit = lambda code: None\n1 / 0",
            None,
            "ZeroDivisionError",
        ),
        ("import numpy", None, "No module named 'numpy'"),
        ("lone \ud800", None, "the answer: "),
        ("x = 1\0", None, "the answer: "),  # which error depends on the version of Python
        ("class E(Exception):\n    def __str__(self): raise E\nraise E", None, "cannot say what it is"),
        ("raise ValueError('x' * 10000)", None, "ValueError: xxx"),
        (ADD, "", "the tests are empty"),
        (ADD, "# nothing", "the tests are empty"),
        (ADD, "assert add(1, 2 == 3", "the tests: SyntaxError"),
        (ADD, "def test_one():\n    assert add(1, 2) == 4", "test_one (assert add(1, 2) == 4): AssertionError"),
        (
            ADD,
            "import unittest\nclass T(unittest.TestCase):\n  def test_a(self):\n    self.assertEqual(add(1, 2), 4)",
            "test_a: AssertionError: 3 != 4",
        ),
        (ADD, None, None),
    ],
)
def test_a_wrong_answer_fails_and_says_why(judged: Judged, answer: str, tests: str | None, reason: str | None) -> None:
    check = judged("code", {"tests": "tests"}, answer, TESTS if tests is None else {"tests": tests})
    assert check.passed is (reason is None)
    assert reason is None or reason in str(check.reason)
    assert len(str(check.reason)) <= 200


def test_a_file_of_tests_becomes_part_of_the_rules(tmp_path: Path) -> None:
    (tmp_path / "tests.py").write_text(TESTS["tests"])
    resolved = resolve({"code": {"tests": "tests.py"}}, tmp_path)
    (tmp_path / "tests.py").unlink()
    assert resolve(resolved, tmp_path) == resolved
    assert build(resolved)[0](ADD, {}).passed
    assert not build(resolved)[0]("", {}).passed


@pytest.mark.parametrize("seed", [{}, {"tests": None}, {"tests": []}, {"tests": [1]}])
def test_a_seed_without_tests_is_said_so(judged: Judged, seed: dict[str, Any]) -> None:
    assert "holds no tests" in str(judged("code", {"tests": "tests"}, ADD, seed).reason)


@pytest.fixture
def no_sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A machine where the sandbox is missing or does not work."""
    sandbox.require.cache_clear()
    sandbox._command.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    yield tmp_path
    sandbox.require.cache_clear()
    sandbox._command.cache_clear()


def test_without_bubblewrap_the_recipe_is_refused_with_the_package_to_install(no_sandbox: Path) -> None:
    with pytest.raises(BadInput, match=r"verify\.code: .*bwrap is not installed; install bubblewrap"):
        resolve({"code": {"tests": "tests"}}, no_sandbox)


def test_where_the_system_allows_no_sandbox_the_recipe_is_refused_with_its_words(no_sandbox: Path) -> None:
    for name in ("bwrap", "choom"):
        (no_sandbox / name).write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
        (no_sandbox / name).chmod(0o755)
    with pytest.raises(BadInput, match=r"does not work here: .*No permissions to create new namespace") as bad:
        resolve({"code": {"tests": "tests"}}, no_sandbox)
    assert "\n" not in str(bad.value)


def test_a_sandbox_that_stops_working_fails_no_answer_but_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.require()
    monkeypatch.setattr(sandbox, "_command", lambda: (("false",), ()))
    with pytest.raises(StoppedEarly, match="the sandbox does not start"):
        sandbox.run(ADD, TESTS["tests"], timeout_s=5, memory_mb=512)
