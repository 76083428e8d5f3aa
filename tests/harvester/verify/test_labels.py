"""labels: one of a set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harvester.records import Check
from harvester.verify import build, resolve

Judged = Callable[..., Check]


@pytest.mark.parametrize(
    ("answer", "settings", "passed"),
    [
        ("refund", {}, True),
        ("  refund\n", {}, True),
        ("Refund", {}, False),
        ("Refund", {"ignore_case": True}, True),
        ("refund.", {}, False),
        ("a refund", {}, False),
        ("new\u00a0 order", {}, True),
        ("cafe\u0301", {}, True),
        ("", {}, False),
        ('{"kind": "refund", "note": "x"}', {"field": "kind"}, True),
        ('{"kind": 7}', {"field": "kind"}, True),
        ('{"kind": true}', {"field": "kind"}, False),
        ('{"kind": ["refund"]}', {"field": "kind"}, False),
        ('{"other": "refund"}', {"field": "kind"}, False),
        ("refund", {"field": "kind"}, False),
    ],
)
def test_the_answer_or_a_field_of_it_is_a_label(
    judged: Judged, answer: str, settings: dict[str, Any], passed: bool
) -> None:
    check = judged("labels", {"of": ["refund", "new order", "caf\u00e9", "7", "true "], **settings}, answer)
    assert check.passed is passed
    assert (check.reason is None) is passed


def test_a_file_of_labels_becomes_part_of_the_rules(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("\ufeffrefund\n\n  new order \r\n", encoding="utf-8")
    resolved = resolve({"labels": {"of": "labels.txt"}}, tmp_path)
    assert resolved["labels"]["of"] == ["refund", "new order"]
    (tmp_path / "labels.txt").unlink()
    assert resolve(resolved, tmp_path) == resolved
    assert build(resolved)[0]("new order", {}).passed


def test_many_labels_stand_in_a_check_as_their_hash(judged: Judged) -> None:
    params = judged("labels", {"of": [f"label {number}" for number in range(500)]}, "label 3").params
    assert list(params["of"]) == ["sha256"]
    assert judged("labels", {"of": ["a", "b"]}, "a").params["of"] == ["a", "b"]
