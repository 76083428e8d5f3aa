"""python: the user's own function, only where the user said so."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harvester.errors import BadInput
from harvester.records import Check
from harvester.verify import build, resolve

Judged = Callable[..., Check]

CHECKS = """
import os, time
from dataclasses import dataclass
from harvester.records import Check

@dataclass
class Limit:
    most: int = 3

def yes(answer, seed): return True
def no(answer, seed): return False
def short(answer, seed): return len(answer) <= Limit().most, f"{len(answer)} letters"
def same(answer, seed): return Check("mine", {}, passed=answer == seed["right"], reason="not right")
def raises(answer, seed): raise KeyError("gone")
def leaves(answer, seed): raise SystemExit(0)
def dies(answer, seed): os._exit(0)
def hangs(answer, seed): time.sleep(600)
def number(answer, seed): return 1
def nothing(answer, seed): pass
async def later(answer, seed): return True
def where(answer, seed): return os.getpid() == int(answer), str(os.getpid())
text = "no function"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "checks.py").write_text(CHECKS)
    return tmp_path


@pytest.mark.parametrize(
    ("function", "answer", "reason"),
    [
        ("yes", "x", None),
        ("no", "x", "checks:no says no"),
        ("short", "abc", None),
        ("short", "abcd", "4 letters"),
        ("same", "a", None),
        ("same", "b", "not right"),
        ("raises", "x", "KeyError: 'gone'"),
        ("leaves", "x", "SystemExit: 0"),
        ("dies", "x", "ends the process that it runs in"),
        ("number", "x", "TypeError: returned int; return True or False, (passed, reason) or a Check"),
        ("nothing", "x", "TypeError: returned NoneType; return True or False, (passed, reason) or a Check"),
    ],
)
def test_what_the_function_says_or_raises(
    judged: Judged, folder: Path, function: str, answer: str, reason: str | None
) -> None:
    check = judged("python", f"checks:{function}", answer, {"right": "a"}, folder)
    assert (check.passed, check.reason) == (reason is None, reason)


def test_a_coroutine_is_no_verdict(judged: Judged, folder: Path) -> None:
    assert "returned coroutine" in str(judged("python", "checks:later", "x", {}, folder).reason)


def test_it_takes_no_longer_than_it_may(judged: Judged, folder: Path) -> None:
    check = judged("python", {"function": "checks:hangs", "timeout_s": 0.2}, "x", {}, folder)
    assert check.reason == "takes more than 0.2 s"


def test_it_runs_in_another_process(judged: Judged, folder: Path) -> None:
    assert not judged("python", "checks:where", str(os.getpid()), {}, folder).passed


def test_an_installed_function_will_do(judged: Judged) -> None:
    assert not judged("python", "operator:eq", "x", {}).passed
    assert judged("python", "operator:ne", "x", {}).passed


def test_without_trust_nothing_of_it_runs(tmp_path: Path) -> None:
    (tmp_path / "checks.py").write_text("open('ran', 'w').close()\ndef yes(answer, seed): return True\n")
    with pytest.raises(BadInput, match=r"verify\.python: runs code .* --trust-recipe") as refused:
        resolve({"python": "checks:yes"}, tmp_path)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == [tmp_path / "checks.py"]


def test_the_functions_text_is_part_of_the_rules(folder: Path) -> None:
    resolved = resolve({"python": "checks:yes"}, folder, trust=True)
    (folder / "checks.py").write_text(CHECKS.replace("return True", "return False"))
    assert resolve({"python": "checks:yes"}, folder, trust=True) != resolved
    (folder / "checks.py").unlink()
    assert resolve(resolved, folder, trust=True) == resolved
    check = build(resolved)[0]("x", {})
    assert check.passed
    assert check.params["source"].keys() == {"sha256"}
    with pytest.raises(BadInput, match="--trust-recipe"):
        resolve(resolved, folder)


def test_two_recipes_may_each_have_a_module_of_one_name(judged: Judged, tmp_path: Path) -> None:
    for name, verdict in (("one", True), ("two", False)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "checks.py").write_text(f"def judge(answer, seed): return {verdict}\n")
    assert judged("python", "checks:judge", "x", {}, tmp_path / "one").passed
    assert not judged("python", "checks:judge", "x", {}, tmp_path / "two").passed


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("checks", "must be module:function"),
        ("checks:yes()", "must be module:function"),
        ("../checks:yes", "must be module:function"),
        ("checks:yess", "no function yess"),
        ("checks:text", "no function text"),
        ("chekcs:yes", "there is no chekcs.py in the recipe's folder"),
        ("broken:yes", "SyntaxError"),
        ("absent:yes", "No module named 'no_such_module'"),
        ({"function": "checks:yes", "timeout_s": 0}, "timeout_s: must be a number above 0"),
        ({"function": "checks:yes", "timeout": 1}, "did you mean timeout_s?"),
        ({}, "name it as module:function"),
        (7, "write module:function"),
    ],
)
def test_a_function_that_cannot_be_used_is_found_before_anything_is_asked(
    folder: Path, settings: Any, problem: str
) -> None:
    (folder / "broken.py").write_text("def yes(:\n")
    (folder / "absent.py").write_text("import no_such_module\n")
    with pytest.raises(BadInput) as bad:
        resolve({"python": settings}, folder, trust=True)
    assert problem in str(bad.value)
    assert "\n" not in str(bad.value)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe").mkdir()
    (tmp_path / "secret.py").write_text("def yes(answer, seed): return True\n")
    (tmp_path / "recipe" / "checks.py").symlink_to(tmp_path / "secret.py")
    with pytest.raises(BadInput, match="outside the recipe's folder"):
        resolve({"python": "checks:yes"}, tmp_path / "recipe", trust=True)
