"""What a Batch API does wrong, over real HTTP: told by ids, kept once, open again, and never asked for twice."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from harvester.batching.collecting import Result
from harvester.batching.waiting import MOST_SILENT
from harvester.errors import TeacherUnusable

from batch_provider import EVERY, BatchProvider, answered, answers  # isort: skip - a helper beside the tests
from provider import completion  # isort: skip

Collect = Callable[..., Result]
Stored = Callable[[str], list[Any]]
FAILED = b'{"error": {"message": "overloaded"}}'


def held(stored: Stored) -> list[tuple[Any, str]]:
    return stored("SELECT custom_id, why FROM quarantined ORDER BY id")


def result(stored: Stored) -> dict[str, int]:
    found: dict[str, int] = json.loads(stored("SELECT result FROM batches ORDER BY id LIMIT 1")[0][0])
    return found


# --- 19: duplicate or unknown ids


def test_fault_19_the_first_answer_to_a_request_stays_and_the_second_is_set_aside(
    collect: Collect, batches: BatchProvider, stored: Stored
) -> None:
    def twice(lines: list[bytes]) -> list[bytes]:
        ids = [json.loads(line)["custom_id"] for line in lines]
        return [*lines, *(json.dumps(answered(key, completion("another"))).encode() for key in ids[:3])]

    batches.spoil = twice
    collect()
    assert answers(stored) == EVERY
    assert [why for _, why in held(stored)] == ["duplicate custom_id"] * 3
    assert result(stored) == {"answered": 10, "failed": 0, "missing": 0, "quarantined": 3, "requeued": 0}


def test_fault_19_an_answer_to_nobodys_request_is_set_aside(
    collect: Collect, batches: BatchProvider, stored: Stored
) -> None:
    strange = [json.dumps(answered(key, completion("x"))).encode() for key in ("", "0" * 64, "x" * 5000, "\ud800")]
    batches.spoil = lambda lines: [*strange, *lines]
    collect()
    assert answers(stored) == EVERY
    assert [why for _, why in held(stored)] == ["unknown custom_id"] * 4


def test_of_lines_that_are_set_aside_no_more_is_kept_than_memory_is_meant_for(
    collect: Collect, batches: BatchProvider, stored: Stored, monkeypatch: Any
) -> None:
    monkeypatch.setattr("harvester.batching.taking.MOST_KEPT_BYTES", 2500)
    batches.spoil = lambda lines: [*(letter * 1000 for letter in (b"x", b"y", b"z")), *lines]
    collect()
    assert len(held(stored)) == 2
    assert result(stored)["quarantined"] == 3
    assert answers(stored) == EVERY


# --- 20: shuffled, truncated, a bad line, status 0, counts that lie


@pytest.mark.parametrize("seed", range(3))
def test_fault_20_answers_are_told_by_their_ids_in_whatever_order_they_come(
    collect: Collect, batches: BatchProvider, stored: Stored, seed: int
) -> None:
    batches.seed = seed
    collect()
    assert answers(stored) == EVERY


def test_fault_20_the_request_of_a_truncated_line_is_open_again_and_counted_as_billed(
    collect: Collect, batches: BatchProvider, stored: Stored
) -> None:
    batches.truncate = 40
    spent_usd = collect().progress.spent_usd
    assert len(answers(stored)) == 9
    assert [why for _, why in held(stored)] == ["not a line of an output file"]
    (reason,) = stored("SELECT reason FROM requests WHERE state = 'exhausted'")
    assert reason == ("batch completed without an answer to it",)
    assert spent_usd > 9 * 0.0075 + 0.05  # the one that is missing at its worst case
    batches.truncate = 0
    assert collect().progress.answered == 1
    assert answers(stored) == EVERY


BAD = [b"{", b"[]", b"3", b'"text"', b'{"custom_id": 5}', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000, b"nul"]


@pytest.mark.parametrize("bad", BAD, ids=[repr(bad[:20]) for bad in BAD])
def test_fault_20_a_bad_line_harms_no_other(
    collect: Collect, batches: BatchProvider, stored: Stored, bad: bytes
) -> None:
    batches.spoil = lambda lines: [bad, *lines[:5], b"", bad, *lines[5:]]
    collect()
    assert answers(stored) == EVERY
    assert held(stored) == [(None, "not a line of an output file")]


@pytest.mark.parametrize(
    "response",
    [
        {"status_code": 0, "body": None},
        {"status_code": 500, "body": json.loads(FAILED)},
        {"status_code": 200, "body": None},
        {"status_code": 200, "body": {}},
        {"status_code": 200, "body": {"error": {"message": "overloaded", "code": 503}}},
        {"status_code": 200, "body": "text"},
        {"status_code": "200", "body": {}},
        {},
        None,
    ],
)
def test_fault_20_a_failure_among_no_failures_is_no_answer(
    collect: Collect, batches: BatchProvider, stored: Stored, response: Any
) -> None:
    batches.hide_failures = True
    first: list[str] = []

    def line(key: str, _body: Any) -> Any:
        first.append(key)
        return {"custom_id": key, "response": response, "error": None} if key == first[0] else None

    batches.line = line
    collect()
    assert batches.batches[0].failed == 0
    assert len(answers(stored)) == 9
    assert stored("SELECT count(*) FROM requests WHERE state = 'exhausted'") == [(1,)]
    assert result(stored) == {"answered": 9, "failed": 1, "missing": 0, "quarantined": 0, "requeued": 0}
    batches.line = lambda _key, _body: None
    collect()
    assert answers(stored) == EVERY


# --- 21: expired or cancelled


@pytest.mark.parametrize("ends", ["expired", "cancelled"])
@pytest.mark.parametrize("share", [0.0, 0.6])
def test_fault_21_what_was_done_of_an_expired_or_cancelled_batch_is_kept_and_the_rest_open_again(
    collect: Collect, batches: BatchProvider, stored: Stored, ends: str, share: float
) -> None:
    batches.ends, batches.done_share = ends, share
    done = round(10 * share)
    progress = collect().progress
    assert progress.answered == done
    assert progress.spent_usd == pytest.approx(done * 0.0075)  # the rest was not done, so not billed
    assert stored("SELECT DISTINCT reason FROM requests WHERE state = 'exhausted'") == [
        (f"batch_{ends}: it was not done",)
    ]
    batches.ends = "completed"
    assert collect().progress.answered == 10 - done
    assert answers(stored) == EVERY
    assert [one.total for one in batches.batches] == [10, 10 - done]


def test_fault_21_a_batch_that_failed_as_a_whole_says_why_and_costs_nothing(
    collect: Collect, batches: BatchProvider, stored: Stored
) -> None:
    batches.ends = "failed"
    progress = collect().progress
    assert (progress.answered, progress.spent_usd) == (0, 0)
    assert progress.reasons == {"batch failed: line 1 is not to our liking": 10}
    batches.ends = "completed"
    assert collect().progress.answered == 10


# --- 22: completed, and cannot be fetched


@pytest.mark.parametrize("status", [404, 500])
def test_fault_22_a_file_that_is_not_there_yet_is_looked_for_again(
    collect: Collect, batches: BatchProvider, stored: Stored, status: int
) -> None:
    batches.refuse = lambda call, number: (status, {}, FAILED) if call == "content" and number < 8 else None
    collect()
    assert answers(stored) == EVERY
    assert len(batches.batches) == 1


@pytest.mark.parametrize("named", [True, False])
def test_fault_22_a_completed_batch_that_cannot_be_fetched_is_kept_for_another_day(
    collect: Collect, batches: BatchProvider, stored: Stored, named: bool
) -> None:
    batches.names_output = named
    batches.refuse = lambda call, _: (404, {}, FAILED) if call == "content" else None
    with pytest.raises(TeacherUnusable, match=r"batch batch_1: .*; nothing is lost, 10 requests in batches"):
        collect()
    assert batches.calls["retrieve"] == MOST_SILENT + 1  # one found it in progress
    assert stored("SELECT count(*) FROM batched") == [(10,)]
    assert stored("SELECT count(*) FROM batches WHERE ended_at IS NULL") == [(1,)]
    batches.names_output, batches.refuse = True, lambda _call, _number: None
    assert collect().progress.answered == 10
    assert len(batches.batches) == 1


def test_fault_22_a_batch_that_its_provider_does_not_know_any_more_is_kept(
    collect: Collect, batches: BatchProvider, stored: Stored
) -> None:
    batches.refuse = lambda call, _: (404, {}, FAILED) if call == "retrieve" else None
    with pytest.raises(TeacherUnusable, match="nothing is lost"):
        collect()
    assert batches.calls["retrieve"] == MOST_SILENT
    assert stored("SELECT count(*) FROM batched") == [(10,)]


def test_a_slow_batch_is_looked_at_less_and_less_often() -> None:
    from harvester.batching.waiting import FIRST_LOOK_S, MOST_WAIT_S, Patience

    patience = Patience()
    waits = [patience.next_wait_s(changed=False) for _ in range(30)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (FIRST_LOOK_S, MOST_WAIT_S)
    assert 3600 < sum(waits) < 2 * 3600
    assert patience.next_wait_s(changed=True) == FIRST_LOOK_S
