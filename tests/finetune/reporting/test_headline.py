from typing import Any

import pytest

from finetune.reporting.headline import gap, verdict, warnings
from finetune.reporting.report import Report, make_report
from finetune.reporting.words import ascii_spaces


def report(value: float = 0.5, interval: list[float] | None = None, **more: Any) -> Report:
    """Base 40 of 100, student `value` above it."""
    lead = {"arm": "student", "than": "base", "value": value, "interval": interval}
    arms = {"base": {"n": 100, "score": 0.4}, "teacher": {"n": 100, "score": 0.9}}
    return make_report(
        {"arms": {**arms, "student": {"n": 100, "score": 0.4 + value}}, "differences": [lead | more.pop("lead", {})]}
        | more
    )


def said(found: list[str]) -> str:
    return ascii_spaces(" ".join(found))


def test_a_student_that_is_better_has_no_warning() -> None:
    found = report(0.5, [0.4, 0.6], run={"dev_loss_before": 1.0, "dev_loss": 0.1})
    assert warnings(found) == []
    assert "It is 50.0 points better than the base model (95 % interval +40.0 to +60.0)." in said(verdict(found))


@pytest.mark.parametrize("interval", [[-0.05, 0.09], [0.0, 0.09]])
def test_a_student_not_shown_to_be_better_is_said_to_be_so(interval: list[float]) -> None:
    found = report(0.02, interval)
    assert "not shown to be better than its base model: the difference is +2.0 points" in said(warnings(found))
    assert f"95 % interval {'-5.0' if interval[0] else '0.0'} to +9.0 includes 0." in said(warnings(found))
    assert "better than the base" not in said(verdict(found))


def test_a_student_that_is_worse_is_said_to_be_so() -> None:
    found = said(warnings(report(-0.2, [-0.3, -0.1])))
    assert "The student is worse than its base model, by 20.0 points (95 % interval -30.0 to -10.0)" in found


def test_too_few_prompts_to_say_are_said() -> None:
    found = said(warnings(report(0.2, lead={"refusal": "4 prompts are too few"})))
    assert found == "Whether the student is better than its base model cannot be said: 4 prompts are too few."


@pytest.mark.parametrize(("after", "shown"), [(1.31, "is 1.31 after"), (None, "is no number any more after")])
def test_a_worse_loss_on_dev_is_said_whatever_the_scores(after: float | None, shown: str) -> None:
    found = said(warnings(report(0.5, [0.4, 0.6], run={"dev_loss_before": 0.92, "dev_loss": after})))
    assert "Training made it worse on the dev split: the loss was 0.92 before and" in found
    assert shown in found


def test_runs_that_never_looked_at_dev_are_not_warned_of() -> None:
    assert warnings(report(0.5, [0.4, 0.6], run={"dev_loss": 0.3})) == []


def test_a_gap_reads_the_same_everywhere() -> None:
    found = make_report({"arms": {}, "gap_recovered": {"value": 0.8, "interval": [0.6, 1.0]}})
    assert ascii_spaces(gap(found.gap_recovered)) == "80.0 % (95 % interval 60.0 % to 100.0 %)"
    refused = make_report({"arms": {}, "gap_recovered": {"refusal": "too near"}})
    assert gap(refused.gap_recovered) == "not given: too near"
    assert gap(None) == "not recorded"
