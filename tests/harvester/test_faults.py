"""What is promised under each fault of a teacher, over HTTP; the numbers are those of the table in docs/design/010."""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from harvester.budget import worst_case_tokens
from harvester.circuit import SILENT_ROUNDS
from harvester.collecting import Options, Progress, collect
from harvester.errors import TeacherUnusable
from harvester.exporting import export
from harvester.recipe import Recipe
from harvester.retry import FLOOR_S
from harvester.status import status
from harvester.store import StoreReader

import wire_faults  # isort: skip - helpers beside the tests
from provider import Provider, completion, last_line, serving  # isort: skip
from strict import Bucket, Strict, Window, as_date, in_milliseconds, in_seconds, silent  # isort: skip

DOLLAR_A_THOUSAND_TOKENS = {"input": 1000, "output": 1000}
REPLY_USD = 15 * 0.001
ROOT = Path(__file__).parents[2]


def run(folder: Any, **options: Any) -> Progress:
    return asyncio.run(collect(Recipe.load(folder.path), None, Options(**options)))


def set_teacher(folder: Any, **fields: Any) -> None:
    folder.data["teacher"] |= fields
    folder.save()


def one_after_the_other(folder: Any, *seeds: str) -> None:
    set_teacher(folder, limits={"concurrency": 1})
    if seeds:
        folder.seeds("train.jsonl", list(seeds))


def stored(folder: Any) -> list[bytes]:
    with StoreReader.open(folder.path / "harvest.db") as reader:
        plan = reader.current_plan("toy")
        assert plan is not None
        return [row.reply.raw for row in reader.rows(plan) if row.reply]


def spent_usd(folder: Any) -> float:
    return float(status(Recipe.load(folder.path))["usd"])


def worst_case_usd(body: dict[str, Any]) -> float:
    return sum(worst_case_tokens(json.dumps(body).encode())) * 0.001


# --- 7


A_JUMPING_WALL_CLOCK = """
import datetime, sys, time
wall, real = time.time, datetime.datetime
time.time = lambda: wall() + 86400 * (int(time.monotonic() * 4) % 3 - 1)  # another day four times a second
class Jumping(real):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)
datetime.datetime = Jumping
from harvester.cli import main
main()
"""
A_CLOCK_A_DAY_BEHIND = A_JUMPING_WALL_CLOCK.replace("(int(time.monotonic() * 4) % 3 - 1)", "-1")


def run_with_clock(folder: Any, clock: str) -> dict[str, Any]:
    """`harvester collect` in a process that sees another wall clock; its JSON."""
    command = [sys.executable, "-c", clock, "collect", str(folder.path), "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=10, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_fault_07_a_jumping_wall_clock_makes_neither_a_burst_nor_a_stall(folder: Any, provider: Any) -> None:
    set_teacher(folder, limits={"concurrency": 4, "requests_per_minute": 1200})
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(40)])
    strict = provider.strict = Strict(Bucket(10, 1200 / 60))
    provider.script = lambda _body, _before: (503, {"Retry-After": "1"}, b"{}") if provider.said.total() == 9 else None
    assert run_with_clock(folder, A_JUMPING_WALL_CLOCK)["answered"] == 40
    assert strict.refused_at == []
    assert 0.9 * 39 / 20 <= provider.asked_at[-1] - provider.asked_at[0] < 20


@pytest.mark.parametrize(
    ("profile", "headers"),
    [
        ("openai", lambda: {"Retry-After": formatdate(time.time() + 1, usegmt=True)}),
        (
            "anthropic",
            lambda: {
                "anthropic-ratelimit-requests-limit": "600",
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1)),
            },
        ),
    ],
)
def test_fault_07_a_date_is_read_by_the_teachers_own_clock(
    folder: Any, provider: Any, profile: str, headers: Any
) -> None:
    set_teacher(folder, provider=profile)
    provider.script = lambda _body, _before: (429, headers(), b"{}") if provider.said.total() == 0 else None
    assert run_with_clock(folder, A_CLOCK_A_DAY_BEHIND)["answered"] == 10


# --- 8


@pytest.mark.parametrize("say_when", [in_seconds, in_milliseconds, as_date])
def test_fault_08_no_worker_calls_before_retry_after(folder: Any, provider: Any, say_when: Any) -> None:
    """All that are in flight are refused; whoever sends next has waited for the last of them."""
    set_teacher(folder, limits={"concurrency": 8, "requests_per_minute": 6000})
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(24)])
    not_before: list[float] = []

    def script(_body: dict[str, Any], _before: int) -> Any:
        if len(not_before) == 8:
            return None
        not_before.append(time.monotonic() + 1.0)
        return (429, say_when(1.0), b"{}")

    provider.latency_s, provider.script = 0.2, script
    progress = run(folder)
    assert (progress.answered, progress.failed) == (24, 0)
    assert provider.asked_at[8] >= max(not_before)


@pytest.mark.parametrize(
    ("limits", "strict"),
    [
        ({"requests_per_minute": 1000}, lambda: Strict(requests=Window(40, 2))),
        ({"requests_per_minute": 1200}, lambda: Strict(requests=Bucket(10, 20))),
        ({"tokens_per_minute": 15_000}, lambda: Strict(tokens=Window(40 * 15, 2))),
        ({"tokens_per_minute": 18_000}, lambda: Strict(tokens=Bucket(10 * 15, 20 * 15))),
    ],
)
def test_fault_08_a_told_limit_is_never_passed(folder: Any, provider: Any, limits: Any, strict: Any) -> None:
    """The limiters leave room for a third of a second that the network and this machine may take."""
    set_teacher(folder, limits={"concurrency": 8, **limits})
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(60)])
    provider.strict = strict()
    assert run(folder).answered == 60
    assert provider.strict.refused_at == []


def test_fault_08_a_limit_that_only_the_headers_tell_is_kept(folder: Any, provider: Any) -> None:
    set_teacher(folder, provider="openai", limits={"concurrency": 4})
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(60)])
    strict = provider.strict = Strict(Bucket(15, 20), Bucket(10_000, 5_000), say_when=silent, tell_limits=True)
    assert run(folder).answered == 60
    assert strict.refused_at == []


def test_fault_08_a_storm_that_counts_refused_requests_too_is_waited_out(folder: Any, provider: Any) -> None:
    set_teacher(folder, limits={"concurrency": 8})
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(60)])
    strict = provider.strict = Strict(requests=Window(20, 1), tokens=Window(600, 1), count_refused=True)
    progress = run(folder)
    assert (progress.answered, progress.failed) == (60, 0)
    assert 0 < len(strict.refused_at) <= 20


# --- 9


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "0"},
        {"Retry-After": "-5"},
        {"Retry-After": "nan"},
        {"Retry-After": "soon"},
        {"Retry-After": "Thu, 01 Jan 1970 00:00:01 GMT"},
        {"retry-after-ms": "-1000"},
    ],
)
def test_fault_09_a_senseless_retry_after_waits_the_floor(folder: Any, provider: Any, headers: Any) -> None:
    folder.seeds("train.jsonl", ["one"])
    provider.script = lambda _body, before: (429, headers, b"{}") if before == 0 else None
    assert run(folder).answered == 1
    assert FLOOR_S <= provider.asked_at[1] - provider.asked_at[0] < 5


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "1000000000"},
        {"Retry-After": "1e9"},
        {"Retry-After": "inf"},
        {"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"},
        {"retry-after-ms": "1e12"},
    ],
)
def test_fault_09_a_huge_retry_after_stops_the_teacher_and_says_so(folder: Any, provider: Any, headers: Any) -> None:
    one_after_the_other(folder)
    provider.script = lambda _body, _before: (429, headers, b"{}") if len(provider.asked) > 4 else None
    with pytest.raises(TeacherUnusable, match=r"asks to wait .* s; everything answered is stored"):
        run(folder)
    assert (len(provider.asked), len(stored(folder))) == (5, 4)


# --- 10, 11, 24: the teacher stops


def stops_and_keeps_the_rest(folder: Any, provider: Any, refusal: Any) -> None:
    """The fifth request is refused: none follows it, four answers are kept, and the next run asks the other six."""
    one_after_the_other(folder)
    provider.script = lambda _body, _before: refusal if len(provider.asked) > 4 else None
    with pytest.raises(TeacherUnusable, match="go on with: harvester collect"):
        run(folder)
    assert (len(provider.asked), len(stored(folder))) == (5, 4)
    provider.script = lambda _body, _before: None
    assert run(folder).answered == 6


@pytest.mark.parametrize(
    "refusal",
    [
        (402, {}, b'{"error": {"message": "Insufficient Balance"}}'),
        (429, {"Retry-After": "1"}, b'{"error": {"message": "pay first", "code": "insufficient_quota"}}'),
    ],
)
def test_fault_10_an_exhausted_quota_stops_without_another_try(folder: Any, provider: Any, refusal: Any) -> None:
    stops_and_keeps_the_rest(folder, provider, refusal)


@pytest.mark.parametrize("code", [401, 403])
def test_fault_11_a_refused_credential_stops_the_teacher_and_keeps_the_rest(
    folder: Any, provider: Any, code: int
) -> None:
    stops_and_keeps_the_rest(folder, provider, (code, {}, b'{"error": {"message": "bad key"}}'))


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_fault_24_a_redirect_is_refused(folder: Any, provider: Any, code: int) -> None:
    with serving(Provider()) as elsewhere:
        stops_and_keeps_the_rest(folder, provider, (code, {"Location": f"{elsewhere.url}/chat/completions"}, b""))
    assert elsewhere.asked == []


# --- 12, 13


@pytest.mark.parametrize("body", [completion("cut off")[:40], b"", b" \n\n ", b"null", b'{"choices": []}'])
def test_fault_12_a_truncated_or_empty_reply_is_tried_again_and_never_stored(
    folder: Any, provider: Any, body: bytes
) -> None:
    passes_at_the_second_try(folder, provider, (200, {}, body))


@pytest.mark.parametrize("code", [502, "429", None])
def test_fault_13_a_passing_error_inside_a_200_is_tried_again(folder: Any, provider: Any, code: Any) -> None:
    body = json.dumps({"error": {"message": "overloaded", "code": code}}).encode()
    passes_at_the_second_try(folder, provider, (200, {}, body))


def passes_at_the_second_try(folder: Any, provider: Any, bad: Any) -> None:
    folder.seeds("train.jsonl", ["one", "two"])
    provider.script = lambda _body, before: bad if before == 0 else None
    progress = run(folder)
    assert (progress.answered, progress.failed, len(provider.asked)) == (2, 0, 4)
    assert all(b"answer to" in raw for raw in stored(folder))


def test_fault_13_a_lasting_error_inside_a_200_fails_its_row_or_stops_the_teacher(folder: Any, provider: Any) -> None:
    bad_request = (200, {}, b'{"error": {"message": "too long", "code": 400}}')
    provider.script = lambda body, _before: bad_request if last_line(body) == "seed 3" else None
    progress = run(folder)
    assert (progress.answered, progress.reasons, len(provider.asked)) == (9, {"HTTP 400: too long": 1}, 10)
    folder.seeds("train.jsonl", [f"another {number}" for number in range(10)])
    provider.asked.clear()
    stops_and_keeps_the_rest(folder, provider, (200, {}, b'{"error": {"code": "insufficient_quota"}}'))


# --- 14, 15: lost after sending


@pytest.mark.parametrize(
    "fault",
    [
        wire_faults.keep_alive(b"\n"),
        wire_faults.keep_alive(b": PROCESSING\n\n"),
        wire_faults.trickle,
        wire_faults.never_answer,
    ],
)
def test_fault_14_signs_of_life_do_not_extend_the_deadline(folder: Any, provider: Any, fault: Any) -> None:
    set_teacher(folder, price=DOLLAR_A_THOUSAND_TOKENS, timeout_s=0.4, max_attempts=1)
    folder.seeds("train.jsonl", ["one"])
    provider.script = lambda _body, _before: fault
    progress = run(folder)
    assert (progress.reasons, len(provider.asked)) == ({"timeout": 1}, 1)
    assert progress.seconds < 10
    assert spent_usd(folder) == pytest.approx(worst_case_usd(provider.asked[0]))


def test_fault_14_blank_lines_before_an_answer_are_no_fault(folder: Any, provider: Any) -> None:
    folder.seeds("train.jsonl", ["one"])
    provider.script = lambda _body, _before: wire_faults.keep_alive(b"\n", times=3)
    assert run(folder).answered == 1
    assert len(provider.asked) == 1


def test_fault_14_a_reply_that_never_ends_is_cut_off_and_paid_for(
    folder: Any, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harvester.teachers.openai_compat.MAX_BODY_BYTES", 1000)
    set_teacher(folder, price=DOLLAR_A_THOUSAND_TOKENS)
    folder.seeds("train.jsonl", ["one"])
    provider.script = lambda _body, _before: wire_faults.keep_alive(b"\n" * 400)
    assert run(folder).failed == 1
    assert spent_usd(folder) == pytest.approx(worst_case_usd(provider.asked[0]))


@pytest.mark.parametrize(
    "fault",
    [
        wire_faults.reset_mid_body,
        wire_faults.reset_before_any_byte,
        wire_faults.close_before_any_byte,
        wire_faults.promise_more_than_is_sent,
        wire_faults.promise_less_than_is_sent,
        wire_faults.chunks_without_end,
        wire_faults.gzip_garbage,
        wire_faults.garbage_status_line,
    ],
)
def test_fault_15_a_cut_reply_is_asked_again_and_counted_twice(folder: Any, provider: Any, fault: Any) -> None:
    """The second request meets it, on a connection that the first one left open."""
    set_teacher(folder, price=DOLLAR_A_THOUSAND_TOKENS)
    one_after_the_other(folder, "one", "two")
    provider.script = lambda body, before: fault if last_line(body) == "two" and before == 0 else None
    progress = run(folder)
    assert (progress.answered, progress.failed) == (2, 0)
    assert list(map(last_line, provider.asked)) == ["one", "two", "two"]
    assert all(b"answer to" in raw for raw in stored(folder))
    assert spent_usd(folder) == pytest.approx(2 * REPLY_USD + worst_case_usd(provider.asked[1]))


# --- 16


@pytest.fixture(params=["refused", "name", "tls: spoken to in plain", "tls: no certificate"])
def unreachable(request: pytest.FixtureRequest, provider: Any) -> Iterator[dict[str, Any]]:
    """Fields of a teacher to which there is no connection."""
    if request.param == "refused":
        with wire_faults.closed_port() as port:
            yield {"base_url": f"http://127.0.0.1:{port}/v1"}
    elif request.param == "name":
        yield {"base_url": "https://teacher.invalid/v1", "local": False}
    elif request.param == "tls: spoken to in plain":
        yield {"base_url": provider.url.replace("http:", "https:")}
    else:
        with serving(Provider(), wire_faults.tls_without_certificate()) as elsewhere:
            yield {"base_url": elsewhere.url}


def test_fault_16_an_unreachable_teacher_is_said_so_and_costs_nothing(
    folder: Any, provider: Any, unreachable: dict[str, Any]
) -> None:
    set_teacher(folder, price=DOLLAR_A_THOUSAND_TOKENS, max_attempts=1, **unreachable)
    with pytest.raises(TeacherUnusable, match=r"unreachable.*go on with: harvester collect"):
        run(folder)
    assert provider.asked == []
    assert spent_usd(folder) == 0
    set_teacher(folder, base_url=provider.url, local=True)
    assert run(folder).answered == 10


def test_fault_16_a_certificate_nobody_vouches_for_is_refused_before_the_key_is_sent(
    folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_API_KEY", "sk-canary")
    with serving(Provider(), wire_faults.tls_self_signed(tmp_path)) as elsewhere:
        set_teacher(folder, base_url=elsewhere.url, api_key_env="TOY_API_KEY", max_attempts=1)
        with pytest.raises(TeacherUnusable, match=r"unreachable.*certificate"):
            run(folder)
    assert elsewhere.asked == []


def test_fault_16_an_outage_is_probed_by_one_request_at_a_time(folder: Any, provider: Any) -> None:
    """The teacher breaks down after ten answers, and comes back once three single requests were sent to it."""
    set_teacher(folder, limits={"concurrency": 16}, max_attempts=20)
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(60)])
    provider.latency_s = 0.02
    failed_at, probes = [0.0], 0

    def script(_body: dict[str, Any], _before: int) -> Any:
        nonlocal probes
        if len(provider.answered) < 10 or probes == 3 or len(failed_at) > 200:
            return None
        alone = provider.in_flight == 1 and time.monotonic() - failed_at[-1] > 0.4
        probes = probes + 1 if alone else 0
        failed_at.append(time.monotonic())
        return wire_faults.close_before_any_byte

    provider.script = script
    progress = run(folder)
    assert (progress.answered, progress.failed, probes) == (60, 0, 3)
    assert len(failed_at) <= (SILENT_ROUNDS + 1) * 16 + probes


# --- 17, 18


KINDS = {
    "length": completion("cut o", finish_reason="length"),
    "content_filter": completion("", finish_reason="content_filter"),
    "refusal": json.dumps({"choices": [{"message": {"content": None, "refusal": "No."}}]}).encode(),
    "empty": completion("  "),
}


def test_fault_17_an_answer_that_is_none_is_stored_once_and_left_out_of_train(
    folder: Any, provider: Any, tmp_path: Path
) -> None:
    folder.seeds("train.jsonl", ["fine", *KINDS])
    folder.seeds("heldout.jsonl", [f"held {kind}" for kind in ("fine", *KINDS)])
    folder.data["heldout"] = {"path": "heldout.jsonl"}
    folder.save()
    provider.script = lambda body, _before: (200, {}, KINDS.get(last_line(body).split()[-1], completion("fine")))
    assert run(folder).answered == 10
    assert run(folder).answered == 0
    assert len(provider.asked) == 10
    exported = export(Recipe.load(folder.path), tmp_path / "dataset")
    assert exported.rows == {"train": 1, "test": 5}
    assert exported.dropped == dict.fromkeys(KINDS, 1)


def other_model(_body: dict[str, Any], _before: int) -> Any:
    return (200, {}, completion("hello", model="toy-2"))


def test_fault_18_another_model_in_the_reply_is_flagged(folder: Any, provider: Any) -> None:
    folder.seeds("train.jsonl", ["one", "two"])
    provider.script = lambda body, before: other_model(body, before) if last_line(body) == "two" else None
    progress = run(folder)
    assert progress.answered == 2
    assert progress.other_models == {"toy-2": 1}
    assert status(Recipe.load(folder.path))["other_models"] == {"toy-2": 1}


def test_fault_18_a_strict_teacher_stops_at_another_model_and_keeps_the_answer(folder: Any, provider: Any) -> None:
    set_teacher(folder, strict=True)
    one_after_the_other(folder)
    provider.script = other_model
    with pytest.raises(TeacherUnusable, match="toy-2"):
        run(folder)
    assert (len(provider.asked), len(stored(folder))) == (1, 1)


# --- 23


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {
            "x-ratelimit-limit-requests": "-1",
            "x-ratelimit-remaining-requests": "-1",
            "x-ratelimit-reset-requests": "1h",
        },
        {"x-ratelimit-limit-requests": "0", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1h"},
        {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "0"},
        {"x-ratelimit-limit-requests": "60000", "x-ratelimit-remaining-requests": "60000"},
    ],
)
def test_fault_23_configured_limits_hold_whatever_the_headers_say(folder: Any, provider: Any, headers: Any) -> None:
    set_teacher(folder, provider="openai", limits={"concurrency": 8, "requests_per_minute": 1200})
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(20)])
    provider.script = lambda _body, _before: (200, headers, completion("hello"))
    strict = provider.strict = Strict(Bucket(10, 20))
    assert run(folder).answered == 20
    assert strict.refused_at == []
    assert 0.9 * 19 / 20 <= provider.asked_at[-1] - provider.asked_at[0] < 10


# --- 27


def test_fault_27_rows_keep_the_terms_of_their_day(folder: Any, tmp_path: Path) -> None:
    run(folder, limit=4)
    folder.data["terms"] = {"teacher": {"license": "MIT"}}
    folder.save()
    run(folder)
    dataset = export(Recipe.load(folder.path), tmp_path / "dataset").path
    rows = [row for shard in dataset.glob("data/*.parquet") for row in pq.read_table(shard).to_pylist()]
    named = Counter(terms["id"].lower() for row in rows for terms in row["terms"])
    assert named == {"declared:apache-2.0": 4, "declared:mit": 6}
