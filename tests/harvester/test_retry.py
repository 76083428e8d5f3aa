"""Every kind of reply and failure, and what is done about it."""

import json
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenacity import RetryCallState

from harvester.retry import (
    FLOOR_S,
    MAX_BACKOFF_S,
    GiveUp,
    Received,
    Reply,
    Retry,
    TryAgain,
    decide,
    error_text,
    retry_after_s,
    wait_s,
)


def received(status: int, body: bytes = b"{}", **headers: str) -> Received:
    return Received(status, headers, body)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_tried_again(status: int) -> None:
    assert isinstance(decide(received(status)), Retry)


@pytest.mark.parametrize("status", [301, 302, 307, 401, 402, 403, 404])
def test_what_holds_for_every_request_stops_the_teacher(status: int) -> None:
    decision = decide(received(status))
    assert isinstance(decision, GiveUp)
    assert decision.stops_teacher


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_wrong_with_one_request_fails_that_one(status: int) -> None:
    assert decide(received(status, b'{"error": {"message": "no"}}')) == GiveUp(f"HTTP {status}: no")


@pytest.mark.parametrize("metadata", [{"reasons": ["violence"]}, {"flagged_input": "the te…"}])
def test_a_text_that_a_moderator_refuses_fails_that_row_alone(metadata: dict[str, Any]) -> None:
    error = {"code": 403, "message": "flagged", "metadata": metadata}
    assert decide(received(403, json.dumps({"error": error}).encode())) == GiveUp("HTTP 403: flagged")
    decision = decide(received(403, json.dumps({"error": error | {"metadata": {"provider_name": "p"}}}).encode()))
    assert decision == GiveUp("HTTP 403: flagged", stops_teacher=True)


def test_an_exhausted_quota_is_not_tried_again_though_it_is_a_429() -> None:
    decision = decide(received(429, b'{"error": {"code": "insufficient_quota", "message": "pay"}}'))
    assert decision == GiveUp("HTTP 429: pay", stops_teacher=True)


def test_an_answer_is_stored() -> None:
    found = decide(received(200, b'{"choices": [{"message": {"content": ""}}]}'))
    assert isinstance(found, Reply)
    assert found.decoded == {"choices": [{"message": {"content": ""}}]}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 429, "message": "m"}, Retry),
        ({"code": "502", "message": "m"}, Retry),
        ({"message": "m"}, Retry),
        ("m", Retry),
        ({"code": 400, "message": "m"}, GiveUp),
        ({"code": "insufficient_quota", "message": "m"}, GiveUp),
    ],
)
def test_an_error_inside_a_200_is_classified_by_its_inner_code(error: Any, kind: type) -> None:
    assert isinstance(decide(received(200, json.dumps({"error": error}).encode())), kind)


@given(st.binary(max_size=200))
def test_any_body_gets_a_decision(body: bytes) -> None:
    for status in (200, 400, 429, 500):
        decide(received(status, body))


def test_not_sent_and_lost_after_sending_differ() -> None:
    key: Any = type("Key", (), {"ssl": None, "host": "h", "port": 1})()
    first, second = decide(aiohttp.ClientConnectorError(key, OSError(111, "refused"))), decide(ConnectionResetError())
    assert isinstance(first, Retry)
    assert isinstance(second, Retry)
    assert (first.unreachable, first.maybe_billed) == (True, False)
    assert (second.unreachable, second.maybe_billed) == (False, True)


def test_a_closed_port_of_plain_http_is_said_without_words_on_tls() -> None:
    key: Any = type("Key", (), {"ssl": True, "host": "localhost", "port": 8000})()  # aiohttp's default
    found = decide(aiohttp.ClientConnectorError(key, OSError(111, "refused")))
    assert isinstance(found, Retry)
    assert found.reason == "unreachable: Cannot connect to host localhost:8000 [refused]"


def test_an_error_of_our_own_is_not_taken_for_the_teachers() -> None:
    with pytest.raises(ZeroDivisionError):
        decide(ZeroDivisionError())


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "-3"}, FLOOR_S),
        ({"retry-after": "nan"}, FLOOR_S),
        ({"retry-after": "soon"}, FLOOR_S),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 90.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:01 GMT"}, FLOOR_S),
    ],
)
def test_every_form_of_retry_after(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after_s({**headers, "date": "Thu, 01 Jan 1970 00:00:10 GMT"}) == expected


@given(st.text(max_size=30))
def test_any_retry_after_is_at_least_the_floor(value: str) -> None:
    for name in ("retry-after", "retry-after-ms"):
        assert (retry_after_s({name: value}) or FLOOR_S) >= FLOOR_S


def test_the_teachers_own_wish_is_waited_for_and_backoff_grows_without_one() -> None:
    def state(attempt: int, decision: Retry) -> RetryCallState:
        found = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
        found.attempt_number = attempt
        error = TryAgain(decision)
        found.set_exception((TryAgain, error, None))  # type: ignore[arg-type]
        return found

    assert wait_s(state(1, Retry("busy", after_s=7.5))) == 7.5
    waits = [wait_s(state(attempt, Retry("busy"))) for attempt in (1, 3, 5, 20)]
    assert all(FLOOR_S <= wait <= MAX_BACKOFF_S for wait in waits)
    assert waits[3] >= MAX_BACKOFF_S / 2 > waits[0]


json_bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["error", "code", "message"]), inner),
    max_leaves=6,
)


@given(st.fixed_dictionaries({"error": json_bodies}).map(json.dumps).map(str.encode))
def test_any_error_body_gets_a_decision_that_can_be_stored(body: bytes) -> None:
    for status in (200, 400, 429, 500):
        decision = decide(received(status, body))
        if decision is not None:
            decision.reason.encode()


def test_an_hours_long_wait_stops_the_teacher_instead_of_a_worker() -> None:
    decision = decide(received(429, **{"retry-after": "1000000000"}))
    assert isinstance(decision, GiveUp)
    assert decision.stops_teacher


def test_an_error_text_is_one_short_line() -> None:
    assert error_text(b"<html>\n  busy\n</html>") == "<html> busy </html>"
    assert len(error_text(b"x" * 10_000)) == 200
    assert error_text(b"") == "no message"


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices": [{"message": {"content": "half of"}, "finish_reason": "error"}]}',
        b'{"choices": [{"message": {"content": "half"}, "finish_reason": "insufficient_system_resource"}]}',
        b'{"choices": [{"message": {"content": "half"}, "error": {"code": 502}}]}',
        b'data: {"choices": [{"delta": {"content": "half"}}]}\n\ndata: {"error": {"message": "down"}}\n\n',
    ],
)
def test_what_the_teacher_broke_off_is_no_answer_and_may_be_billed(body: bytes) -> None:
    found = decide(received(200, body))
    assert isinstance(found, Retry)
    assert found.maybe_billed


@pytest.mark.parametrize(
    "body", ['{"error": {"message": "no key KEY here, nor KEY"}}', "<p>no key KEY here, nor KEY</p>"]
)
def test_an_error_tells_no_key_that_is_not_ours_either(body: str) -> None:
    said = error_text(body.replace("KEY", "sk-proj-" + "aB3dE6gH" * 8).encode())
    assert "no key [key] here, nor [key]" in said


def test_an_error_cannot_steer_the_terminal() -> None:
    assert error_text(b'{"error": {"message": "\\u001b[31mred\\r\\nline \\u009b2J"}}') == "[31mred line 2J"


@pytest.mark.parametrize("status", [200, 201, 202])
def test_any_success_is_read(status: int) -> None:
    assert isinstance(decide(received(status, b'{"choices": [{"message": {"content": "x"}}]}')), Reply)
    assert isinstance(decide(received(status, b"")), Retry)


@pytest.mark.parametrize("finish_reason", ["[1]", "{}", "null", "7"])
def test_a_finish_reason_of_any_type_is_an_answers(finish_reason: str) -> None:
    body = f'{{"choices": [{{"message": {{"content": "x"}}, "finish_reason": {finish_reason}}}]}}'
    assert isinstance(decide(received(200, body.encode())), Reply)


def test_a_connection_that_was_never_made_was_not_sent() -> None:
    found = decide(aiohttp.ConnectionTimeoutError("no connection"))
    assert isinstance(found, Retry)
    assert (found.unreachable, found.maybe_billed) == (True, False)


@pytest.mark.parametrize("error", [{"type": "insufficient_quota"}, {"type": "exceeded_current_quota_error"}])
def test_a_quota_may_be_named_under_type(error: dict[str, str]) -> None:
    found = decide(received(429, json.dumps({"error": error}).encode()))
    assert isinstance(found, GiveUp)
    assert found.stops_teacher
