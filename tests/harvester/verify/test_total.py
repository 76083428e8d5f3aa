"""Whatever a model writes, every verifier gives a check with a short reason that any store takes."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harvester.records import Check
from harvester.verify import build, resolve
from harvester.verify.registry import KINDS

CHECKS = "def judge(answer, seed):\n    return len(answer) > 3, answer\n"
SPEC: dict[str, Any] = {
    "json_schema": {"type": "object", "required": ["f"]},
    "copied_span": {"field": "f", "source": "text"},
    "number_in_text": {"field": "f", "source": "text"},
    "date_in_text": {"field": "f", "source": "text"},
    "labels": [{"of": ["a", "b"]}, {"of": ["a", "b"], "field": "f", "ignore_case": True}],
    "regex": [{"pattern": r"(\w+\s?)+$"}, {"pattern": "x+", "full": True}, {"pattern": "x", "absent": True}],
    "math": {"expected": "solution"},
    "arithmetic": [{"numbers": "numbers", "target": "target"}, {"numbers": "text", "target": "target"}],
    "code": {"tests": "tests", "timeout_s": 5},
    "citations": [{"source": "text"}, {"source": "text", "field": "f"}],
    "language": [{"is": "en"}, {"is": ["ar", "zh", "ru"]}, {"expected": "text"}],
    "length": [{"min_words": 2, "max_chars": 9}, {"max_words": 2, "field": "f"}],
    "refusal": {},
    "python": "checks:judge",
}
SEED = {"text": "Ana paid 5 on 2024-03-05.", "solution": "1/2", "numbers": [1, 2], "target": 3, "tests": "assert x"}
PIECES = [
    "\\boxed{", "{", "}", "\\frac{1}{2}", "\\", "$", "$$", "#### ", "<answer>", "</answer>", "1 + 2", "(", "=", "/0", "^", "\\int_0^1 x",
    "```python\n", "```\n", "def f(:", "x = 1", '"', "\u201c", "\u201d", "\u00ab", '{"f": "', '{"f": ["a"]}', "null", "NaN", "as an ai, i",
    "I'm sorry, but I can't", "\u0645\u0631\u062d\u0628\u0627", "\u4f60\u597d", "\u202e", "\u0000", "\ud800", "\ufeff", "\u0301", "\n", "\r", "9" * 400, "1e999", "\U0001f600",
    " million", "\\text{ ml}", " ml", "US$", "\u00bd", "\u0664", " per ", "^2", "\u2026", "...",
]  # fmt: skip
WILD = st.text() | st.lists(st.sampled_from(PIECES) | st.text(max_size=3)).map("".join)
SEEDS = st.just(SEED) | st.dictionaries(
    st.sampled_from(sorted(SEED)),
    st.none() | st.booleans() | st.floats() | st.text() | st.lists(st.integers()),
    max_size=5,
)
SLOW = sorted(name for name, kind in KINDS.items() if kind.slow)
QUICK = sorted(name for name, kind in KINDS.items() if not kind.slow)


@pytest.fixture(scope="module")
def verifiers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("recipe")
    (folder / "checks.py").write_text(CHECKS)
    return {name: build(resolve({name: SPEC[name]}, folder, trust=True)) for name in KINDS}


def require_check(name: str, check: Any) -> None:
    assert isinstance(check, Check)
    assert check.name == name
    assert isinstance(check.passed, bool)
    assert (check.reason is None) is check.passed
    if check.reason is not None:
        assert 0 < len(check.reason) <= 400
        assert "\n" not in check.reason
        assert check.reason.encode("utf-8")


def test_every_verifier_is_looked_at() -> None:
    assert set(SPEC) == set(KINDS)


@pytest.mark.parametrize("name", QUICK)
@given(answer=WILD, seed=SEEDS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_judged(verifiers: dict[str, Any], name: str, answer: str, seed: dict[str, Any]) -> None:
    for verify in verifiers[name]:
        require_check(name, verify(answer, seed))


@pytest.mark.parametrize("name", SLOW)
@given(answer=WILD)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_judged_in_other_processes(verifiers: dict[str, Any], name: str, answer: str) -> None:
    for verify in verifiers[name]:
        require_check(name, verify(answer, SEED))


LONG = {
    "letters": "a" * 300_000,
    "boxes": "\\boxed{" * 40_000,
    "braces": "{" * 300_000,
    "parentheses": "<answer>" + "(" * 300_000,
    "tags": "<answer>" * 40_000 + "</answer>",
    "fences": "```py\n" * 50_000,
    "marks": '\u201c\u00ab\u201e"' * 60_000,
    "signs": "$1+" * 60_000,
    "lines": "\n" * 300_000,
    "sorry": "i'm sorry, but " * 20_000,
    "ideographs": "\u4f60" * 200_000,
    "numbers": "1," * 100_000,
    "objects": '{"f":' * 60_000,
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_long_texts_take_no_time_that_grows_faster_than_they_do(
    verifiers: dict[str, Any], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harvester.verify import regex_match

    monkeypatch.setattr(regex_match, "TIMEOUT_S", 0.2)
    for name in QUICK:
        for verify in verifiers[name]:
            require_check(name, verify(text, SEED))
