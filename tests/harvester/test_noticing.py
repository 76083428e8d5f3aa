"""What is counted of replies and reasons: bounded, and without what a teacher said."""

from typing import Any

import pytest

from harvester.noticing import MOST_REASONS, OTHER, OTHER_MODELS, Noticed, kind_of, notice, tell
from harvester.progress import Progress
from harvester.recipe import Teacher
from harvester.retry import Received, Retry, decide

TEACHER = Teacher(base_url="http://localhost:1/v1", model="toy-1", local=True)


def noticed(finish_reason: Any, progress: Progress) -> None:
    reply = {"model": "toy-1", "choices": [{"finish_reason": finish_reason, "message": {"content": "x"}}]}
    tell(notice(b'{"messages":[]}', reply, TEACHER), "teacher", TEACHER, progress, print)


def test_finish_reasons_are_counted() -> None:
    progress = Progress("toy", 4)
    for finish_reason in ("stop", "stop", "length", None, 7, "\x1b[2Jstop", "an answer of some words", "x" * 41):
        noticed(finish_reason, progress)
    assert progress.finish_reasons == {"stop": 2, "length": 1, "none": 1, "other": 4}


def test_a_teacher_that_invents_finish_reasons_does_not_make_the_progress_long() -> None:
    progress = Progress("toy", 1)
    for number in range(3 * MOST_REASONS):
        noticed(f"reason_{number}", progress)
    assert len(progress.finish_reasons) == MOST_REASONS + 1
    assert progress.finish_reasons[OTHER] == 2 * MOST_REASONS


def test_a_teacher_that_always_names_another_model_does_not_make_the_progress_long() -> None:
    progress = Progress("toy", 1)
    for number in range(3 * MOST_REASONS):
        tell(Noticed(f"toy-1-{number}", False, "stop"), "teacher", TEACHER, progress, print)
    assert len(progress.other_models) == MOST_REASONS + 1
    assert progress.other_models[OTHER_MODELS] == 2 * MOST_REASONS


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("HTTP 400: the prompt 'my secret' is too long", "HTTP 400"),
        ("unreachable: Cannot connect to host", "unreachable"),
        ("timeout", "timeout"),
        ("reply larger than 64 MiB", "reply larger than"),
        ("batch expired without an answer to it", "batch expired"),
        ("batch my secret: x", OTHER),
        ("my_code: my secret", OTHER),
        ("", OTHER),
    ],
)
def test_the_kind_of_a_reason_holds_no_words_of_the_teacher(reason: str, kind: str) -> None:
    assert kind_of(reason) == kind


@pytest.mark.parametrize(
    "outcome",
    [
        TimeoutError(),
        ConnectionResetError("gone"),
        Received(200, {}, b"{"),
        Received(200, {}, b"[]"),
        Received(200, {}, b"{}"),
        Received(200, {}, b'{"error": {"message": "m"}}'),
        Received(200, {}, b'{"choices": [{"finish_reason": "error"}]}'),
        Received(503, {}, b"down"),
    ],
)
def test_every_reason_of_the_classifier_has_a_kind(outcome: Any) -> None:
    decision = decide(outcome)
    assert isinstance(decision, Retry)
    assert kind_of(decision.reason) != OTHER
