"""Settings of every verifier: what is wrong is one line that names the place and the mend."""

from pathlib import Path
from typing import Any

import pytest

from harvester.errors import BadInput
from harvester.verify import is_slow, resolve, seed_fields
from harvester.verify.registry import KINDS


def refusal_of(spec: dict[str, Any], folder: Path) -> str:
    with pytest.raises(BadInput) as bad:
        resolve(spec, folder, where="recipe.yaml: steps.0.verify", trust=True)
    text = str(bad.value)
    assert "\n" not in text
    assert len(text) < 400
    return text.removeprefix("recipe.yaml: steps.0.verify.")


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"label": {"of": ["a"]}}, "label: unknown verifier; did you mean labels?"),
        ({"labels": {}}, "labels.of: missing; list the labels"),
        ({"labels": {"of": []}}, "labels.of: missing"),
        ({"labels": {"of": [True, False]}}, "labels.of: True is no text: put quotation marks around it"),
        ({"labels": {"of": [1]}}, "labels.of: 1 is no text: put quotation marks around it"),
        ({"labels": {"of": ["a", " "]}}, "labels.of: a label is empty"),
        ({"labels": {"of": ["a", "a "]}}, "labels.of: 'a' is there twice"),
        ({"labels": {"of": ["a", "A"], "ignore_case": True}}, "labels.of: 'a' is there twice"),
        ({"labels": {"of": 7}}, "labels.of: must be a list of labels"),
        ({"labels": {"of": "labels.txt"}}, "labels.of: there is no file"),
        ({"labels": {"of": "../labels.txt"}}, "labels.of: ../labels.txt is outside"),
        ({"labels": {"of": "empty.txt"}}, "labels.of: empty.txt is empty"),
        ({"labels": {"of": "latin.txt"}}, "latin.txt: not UTF-8 text: line 1: "),
        ({"labels": {"of": ["a"], "fields": "x"}}, "labels.fields: unknown field; did you mean field?"),
        ({"labels": {"of": ["a"], "ignore_case": "yes"}}, "labels.ignore_case: must be true or false, not 'yes'"),
        ({"labels": ["a", "b"]}, "labels.0: write {of: [first, second]}, not 'a'"),
        ({"labels": [{"of": ["a"]}, {"of": 7}]}, "labels.1.of: must be a list"),
        ({"regex": {}}, "regex.pattern: missing"),
        ({"regex": {"pattern": "("}}, "regex.pattern: not a regular expression: missing )"),
        ({"regex": {"pattern": "a" * 3_000}}, "regex.pattern: longer than 2,000"),
        ({"regex": "x"}, "regex: write {pattern: …}, not 'x'"),
        ({"math": {}}, "math.expected: missing; name the seed's field"),
        ({"math": {"expected": "x", "timeout_s": -1}}, "math.timeout_s: must be a number above 0"),
        ({"math": {"expected": "x", "timeout_s": 10_000}}, "math.timeout_s: must be at most 600"),
        ({"math": {"expected": "x", "timeout_s": True}}, "math.timeout_s: must be a number"),
        ({"math": {"expected": "x", "timeout_s": float("nan")}}, "math.timeout_s: must be a number"),
        ({"arithmetic": {"numbers": "n"}}, "arithmetic.target: missing; name the seed's field that holds the target"),
        ({"arithmetic": {"number": "n", "target": "t"}}, "arithmetic.number: unknown field; did you mean numbers?"),
        ({"code": {}}, "code.tests: missing"),
        ({"code": {"tests": 7}}, "code.tests: must be a field of the seed or a .py file"),
        ({"code": {"tests": "tests.py"}}, "code.tests: there is no file"),
        ({"code": {"tests": "t", "memory_mb": "1G"}}, "code.memory_mb: must be a number"),
        ({"citations": {}}, "citations.source: missing"),
        (
            {"citations": {"source": "t", "min": 1.5}},
            "citations.min: must be a number of at least 0, without a fraction",
        ),
        ({"language": {}}, "language.is: missing"),
        ({"language": {"is": [], "expected": ""}}, "language.is: missing"),
        ({"language": {"is": "en", "expected": "lang"}}, "language.expected: stands beside `is`; leave one"),
        ({"language": {"expected": 7}}, "language.expected: must be text"),
        ({"language": {"is": "english"}}, "language.is: unknown language 'english'"),
        ({"language": {"is": ["en", "xx"]}}, "language.is: unknown language 'xx'"),
        ({"language": {"is": False}}, 'language.is: YAML reads no as false; write "no" for Norwegian'),
        ({"language": {"is": {"en": 1}}}, "language.is: must be a language"),
        ({"length": {}}, "length: has no bound; state one of min_chars"),
        ({"length": {"min_words": 5, "max_words": 2}}, "length.max_words: 2 is less than min_words 5"),
        ({"length": {"max_word": 2}}, "length.max_word: unknown field; did you mean max_words?"),
        ({"length": {"max_words": -1}}, "length.max_words: must be a number of at least 0"),
        ({"refusal": {"strict": True}}, "refusal.strict: unknown field; remove it"),
        ({"refusal": None}, "refusal: has no settings"),
        ({"refusal": True}, "refusal: write {}, not True"),
    ],
)
def test_a_wrong_setting(tmp_path: Path, spec: dict[str, Any], problem: str) -> None:
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "latin.txt").write_bytes("caf\u00e9".encode("latin-1"))
    assert problem in refusal_of(spec, tmp_path)


RIGHT: dict[str, Any] = {
    "json_schema": {"type": "object", "properties": {"source": {"type": "string"}}},
    "copied_span": [{"field": "f", "source": "text"}, {"field": "g", "source": "body"}],
    "number_in_text": {"field": "f", "source": "text"},
    "date_in_text": {"field": "f", "source": "text"},
    "labels": {"of": ["a"]},
    "regex": {"pattern": "a"},
    "math": {"expected": "solution"},
    "arithmetic": {"numbers": "nums", "target": "goal"},
    "code": [{"tests": "tests"}, {"tests": {"text": "assert True"}}],
    "citations": {"source": "text"},
    "language": [{"is": "en"}, {"expected": "lang"}],
    "length": {"max_words": 5},
    "refusal": {},
    "python": "operator:eq",
}


def test_a_resolved_block_resolves_to_itself() -> None:
    assert set(RIGHT) == set(KINDS)
    resolved = resolve(RIGHT, Path(), trust=True)
    assert resolve(resolved, Path(), trust=True) == resolved


def test_the_fields_of_the_seed_that_a_block_needs_are_told() -> None:
    assert list(seed_fields(resolve(RIGHT, Path(), trust=True))) == [
        ("copied_span.0.source", "text"),
        ("copied_span.1.source", "body"),
        ("number_in_text.source", "text"),
        ("date_in_text.source", "text"),
        ("math.expected", "solution"),
        ("arithmetic.numbers", "nums"),
        ("arithmetic.target", "goal"),
        ("code.0.tests", "tests"),
        ("citations.source", "text"),
        ("language.1.expected", "lang"),
    ]


def test_which_verifiers_are_slow() -> None:
    assert {name for name, kind in KINDS.items() if kind.slow} == {"math", "code", "python"}
    assert is_slow({"regex": {"pattern": "a"}, "math": [{"expected": "x"}]})
    assert not is_slow({"regex": {"pattern": "a"}, "refusal": {}})
    assert not is_slow({})
