"""The collecting loop against a provider over HTTP: what is asked, what is kept, what stops it."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import struct
import time
import zlib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from harvester import retry
from harvester.collecting import Options, Progress, collect, parse
from harvester.errors import BadInput, RefusedByTerms, StoppedEarly, StoreUnusable, TeacherUnusable
from harvester.limiter import LATE_REQUESTS_S
from harvester.pricing import NUSD
from harvester.recipe import Recipe
from harvester.status import status
from harvester.store import StoreReader, StoreWriter
from harvester.store.mark import FORM, Mark

from provider import last_line  # isort: skip - a helper beside the tests


def run(folder: Any, **options: Any) -> Progress:
    return asyncio.run(collect(Recipe.load(folder.path), None, Options(**options)))


def stored_rows(folder: Any) -> list[Any]:
    with StoreReader.open(folder.path / "harvest.db") as reader:
        plan = reader.current_plan("toy")
        assert plan is not None
        return list(reader.rows(plan))


def test_every_seed_is_asked_once_and_a_second_run_asks_nothing(folder: Any, provider: Any) -> None:
    assert run(folder).answered == 10
    assert run(folder).answered == 0
    assert len(provider.asked) == 10
    assert {row.reply is not None for row in stored_rows(folder)} == {True}


def test_the_raw_reply_is_stored_byte_for_byte(folder: Any, provider: Any) -> None:
    odd = b' {"choices":[{"message":{"content":"\\u00e9  "},"finish_reason":"stop"}],  "unknown":[1e3]}\n'
    provider.script = lambda _body, _before: (200, {}, odd)
    run(folder)
    assert {row.reply.raw for row in stored_rows(folder)} == {odd}


def test_one_added_seed_costs_one_request(folder: Any, provider: Any) -> None:
    run(folder)
    folder.seeds("train.jsonl", ["a new one", *(f"seed {number}" for number in range(10))])
    assert run(folder).answered == 1
    assert "a new one" in provider.asked[-1]["messages"][0]["content"]
    assert len(stored_rows(folder)) == 11


def test_an_edited_system_prompt_asks_every_row_again(folder: Any, provider: Any) -> None:
    folder.write("answer.j2", "{% system %}Be brief.{% endsystem %}{% user %}{{ text }}{% enduser %}")
    run(folder)
    folder.write("answer.j2", "{% system %}Be long.{% endsystem %}{% user %}{{ text }}{% enduser %}")
    assert run(folder).answered == 10
    assert {body["messages"][0]["content"] for body in provider.asked[10:]} == {"Be long."}


def test_a_template_edited_back_asks_nothing(folder: Any) -> None:
    run(folder)
    before = (folder.path / "answer.j2").read_text(encoding="utf-8")
    folder.write("answer.j2", "Something else: {{ text }}")
    run(folder, limit=1)
    folder.write("answer.j2", before)
    assert run(folder).answered == 0


def test_an_edited_verifier_asks_nothing_and_judges_anew(folder: Any, provider: Any) -> None:
    run(folder)
    assert status(Recipe.load(folder.path))["splits"]["train"]["accepted"] == 10
    folder.data["steps"][0]["verify"] = {"json_schema": {"type": "object"}}
    folder.save()
    run(folder)
    assert len(provider.asked) == 10
    assert status(Recipe.load(folder.path))["splits"]["train"] == {
        "rows": 10,
        "accepted": 0,
        "dropped": {"verify:json_schema": 10},
    }


def test_more_samples_ask_only_the_new_ones(folder: Any, provider: Any) -> None:
    folder.data["steps"][0]["samples"] = 2
    folder.save()
    run(folder)
    folder.data["steps"][0]["samples"] = 3
    folder.save()
    assert run(folder).answered == 10
    assert len(provider.asked) == 30
    assert sorted(row.sample for row in stored_rows(folder)) == sorted([0, 1, 2] * 10)


def test_equal_seeds_share_one_reply_and_are_rows_of_their_own(folder: Any, provider: Any) -> None:
    folder.seeds("train.jsonl", ["same", "same", "other"])
    run(folder)
    assert len(provider.asked) == 2
    rows = stored_rows(folder)
    assert len({row.row_id for row in rows}) == 3
    assert len({row.request_key for row in rows}) == 2


def test_transport_details_do_not_change_the_key(folder: Any, provider: Any) -> None:
    run(folder)
    folder.data["teacher"] |= {"limits": {"concurrency": 1, "requests_per_minute": 9000}, "timeout_s": 9}
    folder.save()
    assert run(folder).answered == 0


def test_limit_asks_so_many_and_the_next_run_goes_on(folder: Any, provider: Any) -> None:
    assert run(folder, limit=3).answered == 3
    assert len(provider.asked) == 3
    assert run(folder).answered == 7


def test_never_more_in_flight_than_the_limit_says(folder: Any, provider: Any) -> None:
    provider.together = 4
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(60)])
    run(folder)
    assert provider.most_in_flight == 4


def test_a_stated_rate_is_not_passed(folder: Any, provider: Any) -> None:
    folder.data["teacher"]["limits"] = {"concurrency": 10, "requests_per_minute": 1200}
    folder.save()
    run(folder)
    # Ten requests span nine intervals of 50 ms; a loaded machine can only make that longer.
    assert provider.asked_at[-1] - provider.asked_at[0] >= 9 * 0.05 - LATE_REQUESTS_S


def test_failing_rows_do_not_keep_the_others_from_the_teacher(
    folder: Any, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the rows fail twice and sleep longer than an answer takes; nobody's permit sleeps with them.

    If permits did, half of them would be asleep: a busy machine, which takes a tenth, is told from that.
    """
    monkeypatch.setattr(retry, "FIRST_BACKOFF_S", 1.0)
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(320)])
    folder.data["teacher"]["limits"] = {"concurrency": 64}
    folder.save()
    provider.latency_s = 1.0
    bad = (500, {}, b"{}")
    provider.script = lambda body, before: bad if int(last_line(body).split()[1]) % 2 and before < 2 else None
    assert run(folder).answered == 320
    last_first_ask = next(at for at, body in enumerate(provider.asked) if last_line(body) == "seed 319")
    all_used_at = next(at for at, count in provider.busy if count == 64)
    # From when every permit is used until there is nothing new to ask.
    assert provider.mean_in_flight(all_used_at, provider.asked_at[last_first_ask]) >= 0.7 * 64


def test_a_token_limit_is_settled_from_usage(folder: Any, provider: Any) -> None:
    # Reserved: more than 50 tokens a request, one second each. Used: 15.
    folder.data["teacher"]["limits"] = {"concurrency": 10, "tokens_per_minute": 3000}
    folder.save()
    run(folder)
    span = provider.asked_at[-1] - provider.asked_at[0]
    assert 9 * 15 / 3000 * 60 - LATE_REQUESTS_S <= span < 9 * 50 / 3000 * 60


def test_a_refused_request_fails_its_row_with_the_reason_and_no_other(folder: Any, provider: Any) -> None:
    bad = (400, {}, b'{"error": {"message": "too long for the context"}}')
    provider.script = lambda body, _before: bad if "seed 3" in json.dumps(body) else None
    progress = run(folder)
    assert (progress.answered, progress.failed) == (9, 1)
    assert status(Recipe.load(folder.path))["failures"] == {"HTTP 400: too long for the context": 1}
    assert run(folder).answered == 0
    assert len(provider.asked) == 10  # the same request would fail again: it is not sent again


def test_what_failed_for_good_is_asked_again_on_request(folder: Any, provider: Any) -> None:
    bad = (400, {}, b'{"error": {"message": "no"}}')
    provider.script = lambda body, _before: bad if "seed 3" in json.dumps(body) else None
    assert run(folder).reasons == {"HTTP 400: no": 1}
    provider.script = lambda _body, _before: None
    assert run(folder).answered == 0
    assert run(folder, retry_failed=True).answered == 1
    assert status(Recipe.load(folder.path))["failures"] == {}


def test_status_says_what_was_judged_by_other_rules(folder: Any) -> None:
    run(folder)
    folder.data["steps"][0]["verify"] = {"json_schema": {"type": "object"}}
    folder.save()
    assert status(Recipe.load(folder.path))["judged_by_other_rules"] == 10
    parse(Recipe.load(folder.path))
    assert status(Recipe.load(folder.path))["judged_by_other_rules"] == 0


def test_a_request_that_ran_out_of_attempts_is_tried_by_the_next_run(folder: Any, provider: Any) -> None:
    folder.data["teacher"]["max_attempts"] = 2
    folder.save()
    broken = (500, {"retry-after": "0"}, b"{}")
    provider.script = lambda body, _before: broken if "seed 3" in json.dumps(body) else None
    assert (run(folder).failed, len(provider.asked)) == (1, 11)
    provider.script = lambda _body, _before: None
    assert run(folder).answered == 1


def test_a_lost_connection_is_not_taken_for_an_unreachable_teacher(folder: Any, provider: Any) -> None:
    folder.data["teacher"] |= {"timeout_s": 0.2, "max_attempts": 1}
    folder.save()
    folder.seeds("train.jsonl", ["one"])
    provider.latency_s = 1.0
    assert run(folder).failed == 1
    assert status(Recipe.load(folder.path))["failures"] == {"timeout": 1}


def test_the_budget_is_never_passed_and_what_was_bought_is_kept(folder: Any, provider: Any) -> None:
    folder.data["teacher"]["price"] = {"input": 1000, "output": 1000}  # a tenth of a cent per token
    folder.save()
    reply_usd = Decimal("0.015")  # 15 tokens
    with pytest.raises(StoppedEarly, match=r"raise budget\.usd"):
        run(folder, budget_usd=Decimal("0.2"))
    spent = Decimal(str(status(Recipe.load(folder.path))["usd"]))
    assert spent == reply_usd * len(provider.asked)
    assert 0 < spent <= Decimal("0.2")


def test_a_reply_without_usage_counts_as_the_worst_case(folder: Any, provider: Any) -> None:
    folder.data["teacher"]["price"] = {"input": 0, "output": 1000}
    folder.save()
    folder.seeds("train.jsonl", ["one"])
    body = b'{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}'
    provider.script = lambda _body, _before: (200, {}, body)
    run(folder)
    assert status(Recipe.load(folder.path))["usd"] * NUSD == 50 * 1_000_000


def test_terms_refuse_before_the_first_request(folder: Any, provider: Any) -> None:
    folder.data["teacher"]["model"] = "gpt-4o"
    folder.save()
    with pytest.raises(RefusedByTerms, match="forbidden-competing"):
        run(folder)
    assert provider.asked == []
    assert not (folder.path / "harvest.db").exists()


def test_a_missing_key_is_said_before_anything_is_sent(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOY_API_KEY", raising=False)
    folder.data["teacher"]["api_key_env"] = "TOY_API_KEY"
    folder.save()
    with pytest.raises(BadInput, match="TOY_API_KEY is not set"):
        run(folder)


PACKED = {"body", "raw"}  # the columns that hold compressed bytes


def everything_stored(folder: Any) -> bytes:
    """Every value of the store, unpacked, and every other file of the folder."""
    found = [path.read_bytes() for path in Path(folder.path).rglob("*") if path.is_file()]
    with sqlite3.connect(folder.path / "harvest.db") as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            rows = connection.execute(f"SELECT * FROM {table}")  # noqa: S608 - names from the schema itself
            columns = [column for column, *_ in rows.description]
            for row in rows:
                found += [
                    zlib.decompress(value) if column in PACKED else str(value).encode()
                    for column, value in zip(columns, row, strict=True)
                ]
    connection.close()
    return b"\n".join(found)


def test_the_key_is_sent_and_stored_nowhere_though_the_teacher_repeats_it(
    folder: Any, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = "sk-canary-5f2b9"
    monkeypatch.setenv("TOY_API_KEY", canary)
    folder.data["teacher"]["api_key_env"] = "TOY_API_KEY"
    folder.save()
    echo = json.dumps({"error": {"message": f"Incorrect key {canary}"}}).encode()
    provider.script = lambda body, _before: (400, {}, echo) if "seed 3" in json.dumps(body) else None
    provider.answer = lambda _body: f"your key is {canary}"
    run(folder)
    assert provider.headers[0]["Authorization"] == f"Bearer {canary}"
    stored = everything_stored(folder)
    assert b"Incorrect key [key]" in stored
    assert b"your key is [key]" in stored
    assert canary.encode() not in stored
    provider.script = lambda _body, _before: (401, {}, echo)
    folder.seeds("train.jsonl", ["another"])
    with pytest.raises(TeacherUnusable, match=r"Incorrect key \[key\]"):
        run(folder)


def test_a_request_is_sent_only_after_it_is_written_down_as_handed_out(folder: Any, provider: Any) -> None:
    early: list[str] = []

    def script(body: dict[str, Any], _before: int) -> None:
        with sqlite3.connect(f"file:{folder.path}/harvest.db?mode=ro", uri=True) as connection:
            mark = (folder.path / "harvest.db.mark").read_bytes().removeprefix(FORM)
            handed_out = {number for (number,) in struct.iter_unpack("<q", mark)}
            for number, packed in connection.execute("SELECT id, body FROM requests"):
                if json.loads(zlib.decompress(packed)) == body and number not in handed_out:
                    early.append(body["messages"][0]["content"])
        connection.close()

    folder.seeds("train.jsonl", [f"seed {number}" for number in range(40)])
    provider.script = script
    run(folder)
    assert early == []


def test_one_senseless_reply_costs_no_other_answer(folder: Any, provider: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a bug of ours in reading a reply ends the run only after what is in flight is stored."""
    from harvester import asking

    decide = asking.decide

    def broken(outcome: Any) -> Any:
        if b"seed 3" in getattr(outcome, "body", b""):
            raise ZeroDivisionError("a bug")
        return decide(outcome)

    monkeypatch.setattr(asking, "decide", broken)
    provider.latency_s = 0.05
    with pytest.raises(ZeroDivisionError):
        run(folder)
    assert sum(row.reply is not None for row in stored_rows(folder)) == len(provider.asked) - 1


@pytest.mark.parametrize(
    "odd",
    [
        (200, {}, b'{"error": {"code": ["a"]}}'),
        (200, {}, b'{"error": {"code": 1e999}}'),
        (400, {}, b'{"error": {"message": "\\ud800"}}'),
        (200, {"Content-Encoding": "gzip"}, b"not gzip at all"),
        (200, {}, b"[" * 100_000),
    ],
)
def test_an_odd_reply_fails_its_row_only(folder: Any, provider: Any, odd: Any) -> None:
    folder.data["teacher"]["max_attempts"] = 1
    folder.save()
    provider.script = lambda body, _before: odd if "seed 3" in json.dumps(body) else None
    progress = run(folder)
    assert (progress.answered, progress.failed) == (9, 1)


def test_leaving_at_once_books_what_was_in_flight(folder: Any, provider: Any) -> None:
    folder.data["teacher"]["price"] = {"input": 0, "output": 1000}
    folder.save()
    provider.latency_s = 5.0

    async def interrupt_twice() -> None:
        while provider.in_flight < 4:  # noqa: ASYNC110 - the provider counts in another thread
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    async def scenario() -> None:
        interrupting = asyncio.create_task(interrupt_twice())
        try:
            await collect(Recipe.load(folder.path))
        finally:
            await interrupting

    with pytest.raises(StoppedEarly, match="interrupted"):
        asyncio.run(scenario())
    assert status(Recipe.load(folder.path))["usd"] == pytest.approx(4 * 50 * 0.001)


def test_the_progress_of_a_stopped_run_is_told(folder: Any, provider: Any) -> None:
    provider.script = lambda _body, _before: (401, {}, b"{}") if len(provider.asked) > 3 else None
    folder.data["teacher"]["limits"] = {"concurrency": 1}
    folder.save()
    with pytest.raises(TeacherUnusable) as caught:
        run(folder)
    assert caught.value.progress.answered == 3


def test_the_same_seed_in_two_files_keeps_its_references_apart(folder: Any) -> None:
    folder.write("train.jsonl", '{"text": "same", "reference": "of train"}\n')
    folder.write("heldout.jsonl", '{"text": "same", "reference": "of heldout"}\n')
    folder.data["heldout"] = {"path": "heldout.jsonl"}
    folder.save()
    run(folder)
    assert {row.split: row.reference for row in stored_rows(folder)} == {"train": "of train", "test": "of heldout"}
    folder.write("heldout.jsonl", '{"text": "same"}\n')
    run(folder)
    assert {row.split: row.reference for row in stored_rows(folder)} == {"train": "of train", "test": None}


def test_an_interrupted_run_keeps_what_was_in_flight(folder: Any, provider: Any) -> None:
    """The stop comes while answers are on their way: they are waited for, stored, and not asked again."""
    signalled: list[int] = []

    def script(_body: dict[str, Any], _before: int) -> None:
        if len(provider.asked) > 4 and not signalled:
            signalled.append(len(provider.asked))
            os.kill(os.getpid(), signal.SIGINT)

    folder.seeds("train.jsonl", [f"seed {number}" for number in range(60)])
    provider.latency_s = 0.1
    provider.script = script
    with pytest.raises(StoppedEarly, match="interrupted"):
        run(folder)
    sent = len(provider.asked)
    assert 4 < sent < 60
    assert sum(row.reply is not None for row in stored_rows(folder)) == sent
    assert run(folder).answered == 60 - sent


def test_an_unknown_model_is_answered_with_the_names_that_the_teacher_has(folder: Any, provider: Any) -> None:
    provider.script = lambda _body, _before: (404, {}, b'{"error": {"message": "no such model"}}')
    provider.models = ["toy-2", "toy-3"]
    with pytest.raises(TeacherUnusable, match="no such model; it has the models toy-2, toy-3;"):
        run(folder)
    provider.models = []
    with pytest.raises(TeacherUnusable, match=rf"no such model; asked was {provider.url}/chat/completions: .* /v1"):
        run(folder)


def test_a_refused_key_is_answered_with_where_it_was_read(
    folder: Any, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.script = lambda _body, _before: (401, {}, b'{"error": {"message": "no"}}')
    with pytest.raises(TeacherUnusable, match="HTTP 401: no; it was sent no key: state api_key_env;"):
        run(folder)
    monkeypatch.setenv("TOY_API_KEY", "a wrong one")
    folder.data["teacher"]["api_key_env"] = "TOY_API_KEY"
    folder.save()
    with pytest.raises(TeacherUnusable, match="HTTP 401: no; its key is read from TOY_API_KEY;"):
        run(folder)


@pytest.mark.parametrize("fails", ["pending", "mark", "report"])
def test_a_failure_beside_the_answers_loses_none_of_them(
    folder: Any, provider: Any, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """Whatever breaks in the run: what was sent is waited for, and stored."""
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(600)])
    folder.data["teacher"]["limits"] = {"concurrency": 32}
    folder.save()
    provider.latency_s = 0.1

    def broken(name: str, after: int) -> None:
        owner, method = {"pending": (StoreWriter, "pending"), "mark": (Mark, "hand_out")}[name]
        whole, calls = getattr(owner, method), [0]

        def sometimes(*given: Any, **named: Any) -> Any:
            calls[0] += 1
            if calls[0] > after:
                raise StoreUnusable("a part of it is broken")
            return whole(*given, **named)

        monkeypatch.setattr(owner, method, sometimes)

    def report(_: Progress) -> None:
        if len(provider.asked) > 40:
            raise StoreUnusable("nobody wants to hear it")

    options: dict[str, Any] = {}
    if fails == "report":
        options = {"report": report, "report_every_s": 0.05}
    else:
        broken(fails, 1 if fails == "pending" else 60)
    with pytest.raises(StoreUnusable):
        run(folder, **options)
    assert 0 < sum(row.reply is not None for row in stored_rows(folder)) == len(provider.asked)


def test_a_cancelled_collection_has_stored_what_was_answered(
    folder: Any, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(300)])
    folder.data["teacher"]["limits"] = {"concurrency": 8}
    folder.save()
    provider.latency_s = 0.005
    apply = StoreWriter.apply

    def slowly(store: StoreWriter, events: Any) -> None:
        time.sleep(0.2)  # a disk under load
        apply(store, events)

    monkeypatch.setattr(StoreWriter, "apply", slowly)

    async def scenario() -> None:
        collecting = asyncio.create_task(collect(Recipe.load(folder.path)))
        while len(provider.answered) < 100:  # noqa: ASYNC110 - the provider counts in another thread
            await asyncio.sleep(0.01)
        collecting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await collecting

    asyncio.run(scenario())
    stored = sum(row.reply is not None for row in stored_rows(folder))
    assert len(provider.asked) - 8 <= stored <= len(provider.asked)


def test_no_more_is_asked_while_a_whole_group_waits_for_its_commit(
    folder: Any, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(80)])
    folder.save()
    monkeypatch.setattr("harvester.store.journal.MAX_GROUP", 10)
    most = [0]
    apply = StoreWriter.apply

    def slowly(store: StoreWriter, events: Any) -> None:
        time.sleep(0.1)
        (stored,) = sqlite3.connect(folder.path / "harvest.db").execute("SELECT count(*) FROM replies").fetchone()
        most[0] = max(most[0], len(provider.answered) - stored)
        apply(store, events)

    monkeypatch.setattr(StoreWriter, "apply", slowly)
    assert run(folder).answered == 80
    assert most[0] <= 10 + 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_last_answers_are_written_loses_none(
    folder: Any, provider: Any, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    apply, signalled = StoreWriter.apply, []

    def slowly(store: StoreWriter, events: Any) -> None:
        if len(provider.answered) == 10 and not signalled:
            signalled.append(number)
            time.sleep(0.1)  # until the workers are through
            os.kill(os.getpid(), number)
            time.sleep(0.1)
        apply(store, events)

    monkeypatch.setattr(StoreWriter, "apply", slowly)
    with contextlib.suppress(StoppedEarly):
        run(folder)
    assert signalled
    assert sum(row.reply is not None for row in stored_rows(folder)) == 10
    with StoreReader.open(folder.path / "harvest.db") as reader:
        last = reader.last_run("toy")
        assert last is not None
        assert last.outcome in ("done", "stopped")


def test_a_dummy_key_changes_no_answer(folder: Any, provider: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_API_KEY", "x")
    folder.data["teacher"]["api_key_env"] = "TOY_API_KEY"
    folder.save()
    provider.answer = lambda _body: "the box"
    run(folder)
    assert all(b"the box" in row.reply.raw for row in stored_rows(folder))


def test_a_key_at_the_end_of_a_long_message_is_not_cut_in_two(
    folder: Any, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-canary-0123456789-0123456789"
    monkeypatch.setenv("TOY_API_KEY", key)
    folder.data["teacher"]["api_key_env"] = "TOY_API_KEY"
    folder.save()
    message = json.dumps({"error": {"message": "m" * 180 + key}}).encode()
    provider.script = lambda _body, _before: (400, {}, message)
    run(folder)
    assert b"sk-canary" not in everything_stored(folder)


def test_a_key_spread_over_a_stream_is_hidden_too(folder: Any, provider: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-canary-0123456789-0123456789"
    monkeypatch.setenv("TOY_API_KEY", key)
    folder.data["teacher"] |= {"api_key_env": "TOY_API_KEY", "stream": True}
    folder.save()
    parts = ["your key is ", key[:15], key[15:]]
    chunks = [{"choices": [{"index": 0, "delta": {"content": part}}]} for part in parts]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    stream = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
    provider.script = lambda _body, _before: (200, {}, stream)
    assert run(folder).answered == 10
    assert b"your key is [key]" in everything_stored(folder)
    assert key[15:].encode() not in everything_stored(folder)


def test_messages_that_all_differ_do_not_make_the_progress_grow(folder: Any, provider: Any) -> None:
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(120)])
    provider.script = lambda body, _before: (400, {}, json.dumps({"error": {"message": last_line(body)}}).encode())
    progress = run(folder)
    assert progress.failed == sum(progress.reasons.values()) == 120
    assert len(progress.reasons) == 51


def test_an_interrupt_before_the_teacher_is_there_ends_the_run_at_once(
    folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.asynccontextmanager
    async def connect(*_: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)
        yield

    monkeypatch.setattr("harvester.teachers.openai_compat.connect", connect)
    with pytest.raises(StoppedEarly, match="interrupted"):
        run(folder)
    with StoreReader.open(folder.path / "harvest.db") as reader:
        last = reader.last_run("toy")
        assert last is not None
        assert last.outcome == "stopped"


def test_a_teacher_that_does_not_start_ends_the_run_in_order(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.asynccontextmanager
    async def connect(*_: Any) -> Any:
        raise TeacherUnusable("embedded teacher: did not start")
        yield

    monkeypatch.setattr("harvester.teachers.openai_compat.connect", connect)
    with pytest.raises(TeacherUnusable):
        run(folder)
    with StoreReader.open(folder.path / "harvest.db") as reader:
        last = reader.last_run("toy")
        assert last is not None
        assert last.outcome == "stopped"
