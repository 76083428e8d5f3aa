"""regex: found, whole or absent, and never for long."""

from collections.abc import Callable
from typing import Any

import pytest

from harvester.records import Check
from harvester.verify import regex_match

Judged = Callable[..., Check]


@pytest.mark.parametrize(
    ("answer", "settings", "passed"),
    [
        ("call 555-1234 now", {"pattern": r"\d{3}-\d{4}"}, True),
        ("call me", {"pattern": r"\d{3}-\d{4}"}, False),
        ("555-1234\n", {"pattern": r"\d{3}-\d{4}", "full": True}, True),
        ("call 555-1234", {"pattern": r"\d{3}-\d{4}", "full": True}, False),
        ("fine", {"pattern": "(?i)as an ai", "absent": True}, True),
        ("As an AI, I", {"pattern": "(?i)as an ai", "absent": True}, False),
        ("abcabc", {"pattern": r"^(?P<a>abc)(?P=a)$"}, True),
        ("first\nsecond", {"pattern": "(?m)^second$"}, True),
        ("Straße", {"pattern": r"\p{Lu}\p{Ll}+"}, True),
    ],
)
def test_a_pattern_is_found_matches_or_is_absent(
    judged: Judged, answer: str, settings: dict[str, Any], passed: bool
) -> None:
    assert judged("regex", settings, answer).passed is passed


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|aa)+$", r"(.*a){20}b", r"^(([a-z])+.)+[A-Z]([a-z])+$"])
@pytest.mark.parametrize("absent", [False, True])
def test_a_pattern_that_would_run_for_ever_is_a_failed_check(
    judged: Judged, monkeypatch: pytest.MonkeyPatch, pattern: str, absent: bool
) -> None:
    monkeypatch.setattr(regex_match, "TIMEOUT_S", 0.1)
    check = judged("regex", {"pattern": pattern, "absent": absent}, "a" * 5_000 + "!")
    assert not check.passed
    assert check.reason is not None


def test_a_catastrophic_pattern_says_that_it_took_too_long(judged: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regex_match, "TIMEOUT_S", 0.1)
    assert "takes more than" in str(judged("regex", {"pattern": r"(.*a){20}b"}, "a" * 5_000).reason)
