"""Collecting in batches: the same requests, the same store, half the price, and nothing twice."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from harvester.batching.collecting import Result
from harvester.collecting import Options
from harvester.collecting import collect as collect_online
from harvester.errors import BadInput, StoppedEarly, TeacherUnusable
from harvester.profiles import BatchTerms
from harvester.recipe import Recipe
from harvester.status import status
from harvester.store import batches as store_batches
from harvester.tracing import trace

from batch_provider import EVERY, BatchProvider, answered, answers, erred  # isort: skip - a helper beside the tests
from provider import completion, last_line  # isort: skip

Collect = Callable[..., Result]
Stored = Callable[[str], list[Any]]


def test_every_answer_is_stored_with_its_own_request_and_judged(
    collect: Collect, batch_folder: Any, stored: Stored
) -> None:
    result = collect()
    assert (result.waiting, result.progress.answered, result.progress.accepted) == (0, 10, 10)
    assert answers(stored) == EVERY
    assert status(Recipe.load(batch_folder.path))["splits"]["train"]["accepted"] == 10
    assert stored("SELECT count(*) FROM batched") == [(0,)]


def test_an_answer_costs_the_share_that_batches_cost_and_its_trace_says_so(
    collect: Collect, batch_folder: Any, stored: Stored
) -> None:
    result = collect()
    assert result.progress.spent_usd == pytest.approx(10 * 15 * 0.001 / 2)
    (row,) = stored("SELECT row_id FROM rows LIMIT 1")
    assert trace(batch_folder.path / "harvest.db", row[0])["reply"]["price"]["input"] == "500.0"


def test_batches_and_single_requests_fill_one_dataset(
    collect: Collect, batch_folder: Any, batches: BatchProvider, stored: Stored
) -> None:
    collect(limit=4)
    asyncio.run(collect_online(Recipe.load(batch_folder.path)))
    assert (len(batches.asked), len(batches.asked_online)) == (4, 6)
    assert answers(stored) == EVERY
    assert collect().progress.to_ask == 0


def test_what_waits_in_a_batch_is_not_asked_by_a_collection_without(
    collect: Collect, batch_folder: Any, batches: BatchProvider, stored: Stored
) -> None:
    assert collect(wait=False, limit=6).waiting == 6
    said: list[str] = []
    asyncio.run(collect_online(Recipe.load(batch_folder.path), None, Options(say=said.append)))
    assert any("6 requests left alone" in line for line in said)
    assert len(batches.asked_online) == 4
    assert status(Recipe.load(batch_folder.path))["requests"] == {"answered": 4, "waiting_in_batches": 6}
    assert collect().progress.answered == 6
    assert answers(stored) == EVERY


def test_what_was_made_without_waiting_is_taken_in_by_the_next_call(
    collect: Collect, batches: BatchProvider, stored: Stored
) -> None:
    assert collect(wait=False).waiting == 10
    assert stored("SELECT count(*) FROM replies") == [(0,)]
    assert collect(wait=False).waiting == 10  # it is in progress
    assert collect(wait=False).waiting == 0
    assert answers(stored) == EVERY
    assert len(batches.batches) == 1


def test_files_are_split_by_the_providers_limits(
    collect: Collect, batches: BatchProvider, monkeypatch: Any, stored: Stored
) -> None:
    monkeypatch.setattr("harvester.modes.batch_terms", lambda *_: BatchTerms(requests=4))
    collect()
    assert [one.total for one in batches.batches] == [4, 4, 2]
    assert answers(stored) == EVERY


def test_the_worst_case_of_a_whole_batch_is_held_before_it_is_sent(
    collect: Collect, batches: BatchProvider, stored: Stored
) -> None:
    with pytest.raises(StoppedEarly, match="does not pay for the worst case"):
        collect(budget_usd=Decimal("0.05"))
    assert not batches.calls
    spent_usd = collect(budget_usd=Decimal("0.35")).progress.spent_usd  # what one batch did not cost pays for the next
    assert spent_usd == pytest.approx(10 * 15 * 0.001 / 2)
    held = [nusd for (nusd,) in stored("SELECT worst_nusd FROM batches")]
    assert len(held) == len(batches.batches) > 1
    assert max(held) <= 0.35e9
    assert batches.batches[0].total < 10


def test_batches_that_are_under_way_together_stay_within_the_budget(
    collect: Collect, batches: BatchProvider, stored: Stored
) -> None:
    with pytest.raises(StoppedEarly, match="does not pay"):
        collect(wait=False, budget_usd=Decimal("0.35"))
    with pytest.raises(StoppedEarly, match="does not pay"):
        collect(wait=False, budget_usd=Decimal("0.35"))
    assert stored("SELECT sum(worst_nusd) FROM batches")[0][0] <= 0.35e9
    assert batches.calls["create"] == 1


def test_what_a_batch_may_cost_is_missing_from_every_other_budget(
    collect: Collect, batch_folder: Any, batches: BatchProvider
) -> None:
    collect(wait=False, limit=3, budget_usd=Decimal("0.4"))
    with pytest.raises(StoppedEarly, match="budget"):
        asyncio.run(collect_online(Recipe.load(batch_folder.path), None, Options(budget_usd=Decimal("0.2"))))


def test_a_key_in_an_answer_is_stored_nowhere(
    collect: Collect, batch_folder: Any, batches: BatchProvider, monkeypatch: Any
) -> None:
    monkeypatch.setenv("TOY_API_KEY", "a-key-that-is-secret")
    monkeypatch.setattr("harvester.trusting.require", lambda *_, **__: None)
    batch_folder.data["teacher"]["api_key_env"] = "TOY_API_KEY"
    batch_folder.save()
    batches.answer = lambda _: "my key is a-key-that-is-secret"
    batches.line = lambda key, _: (
        answered(key, completion("a-key-that-is-secret")) if key[0] > "8" else erred(key, "a-key-that-is-secret")
    )
    batches.spoil = lambda lines: [*lines, b"a-key-that-is-secret"]
    collect()
    for path in batch_folder.path.iterdir():
        assert b"a-key-that-is-secret" not in path.read_bytes()


def test_a_request_that_is_refused_for_good_fails_and_one_that_is_not_is_open_again(
    collect: Collect, batches: BatchProvider, stored: Stored
) -> None:
    refused = b'{"error": {"message": "too long"}}'

    def line(key: str, body: dict[str, Any]) -> Any:
        if last_line(body) == "seed 1":
            return answered(key, refused, status=400)
        return answered(key, refused, status=429) if last_line(body) == "seed 2" else None

    batches.line = line
    assert collect().progress.answered == 8
    found = dict(stored("SELECT reason, state FROM requests WHERE state <> 'answered'"))
    assert found == {"HTTP 400: too long": "failed", "HTTP 429: too long": "exhausted"}
    batches.line = lambda _key, _body: None
    assert collect().progress.answered == 1
    assert batches.batches[1].total == 1


def test_what_follows_from_answers_goes_into_a_later_batch(
    collect: Collect, batch_folder: Any, batches: BatchProvider, stored: Stored
) -> None:
    batch_folder.write("again.j2", "Once more:\nagain {{ answer.answer.text if answer is mapping else text }}\n")
    batch_folder.data["steps"] = [
        {"name": "answer", "prompt": "answer.j2"},
        {"name": "revised", "kind": "revise", "of": "answer", "prompt": "revise.j2"},
    ]
    batch_folder.write("revise.j2", "Say it better:\n{{ text }} again\n")
    batch_folder.save()
    result = collect()
    assert result.waiting == 0
    assert [one.total for one in batches.batches] == [10, 10]
    assert stored("SELECT count(*) FROM outcomes WHERE accepted") == [(20,)]


def test_a_teacher_at_another_address_does_not_take_in_a_batch(
    collect: Collect, batch_folder: Any, batches: BatchProvider
) -> None:
    collect(wait=False)
    batch_folder.data["teacher"]["base_url"] = batches.url.replace("127.0.0.1", "localhost")
    batch_folder.save()
    with pytest.raises(BadInput, match="batch batch_1 was sent to another address"):
        collect()


@pytest.mark.parametrize("call", ["upload", "create"])
def test_a_file_that_is_refused_leaves_its_requests_open(
    collect: Collect, batches: BatchProvider, stored: Stored, call: str
) -> None:
    batches.refuse = lambda name, _: (400, {}, b'{"error": {"message": "not so"}}') if name == call else None
    with pytest.raises(TeacherUnusable, match="not so"):
        collect()
    assert stored("SELECT count(*) FROM batched") == [(0,)]
    batches.refuse = lambda _name, _number: None
    assert collect().progress.answered == 10


def test_the_embedded_teacher_and_accept_are_refused(collect: Collect, batch_folder: Any) -> None:
    with pytest.raises(BadInput, match="--accept"):
        collect(accept=3)
    batch_folder.data["teacher"] = {"base_url": "embedded", "model": "smollm2-135m-instruct"}
    batch_folder.data.pop("terms")
    batch_folder.save()
    with pytest.raises(BadInput, match="no Batch API"):
        collect()


def test_a_request_larger_than_a_file_is_left_to_others(
    collect: Collect, batch_folder: Any, batches: BatchProvider, stored: Stored
) -> None:
    batch_folder.data["teacher"]["provider"] = "together"
    batch_folder.seeds("train.jsonl", ["seed 1", "x" * 2_000_000, "seed 2"])
    batch_folder.save()
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harvester.modes.batch_terms", lambda *_: BatchTerms(megabytes=1))
        assert collect(say=said.append).progress.answered == 2
    assert any("larger than a batch's file" in line for line in said)
    assert stored("SELECT state, count(*) FROM requests GROUP BY state") == [("answered", 2), ("pending", 1)]


def test_a_provider_that_does_not_list_its_batches_is_not_sent_another_one(
    collect: Collect, batches: BatchProvider, stored: Stored
) -> None:
    batches.cut = lambda call, _: call == "create"
    batches.refuse = lambda call, _: (404, {}, b"{}") if call == "list" else None
    with pytest.raises(TeacherUnusable, match="whether a batch was made cannot be seen"):
        collect()
    with pytest.raises(TeacherUnusable, match=r"only if it is not there: harvester batch cancel \w{8} --forget"):
        collect()
    assert len(batches.batches) == 1
    assert stored("SELECT count(*) FROM batched") == [(10,)]
    batches.refuse = lambda _call, _number: None
    assert collect().progress.answered == 10
    assert len(batches.batches) == 1


def test_of_a_batch_that_is_taken_in_only_a_page_of_requests_is_in_memory(
    collect: Collect, batches: BatchProvider, stored: Stored, monkeypatch: Any
) -> None:
    looked_up: list[int] = []
    look_up = store_batches.members_named

    def counted(connection: Any, keys: Any) -> Any:
        looked_up.append(len(keys))
        return look_up(connection, keys)

    monkeypatch.setattr(store_batches, "members_named", counted)
    monkeypatch.setattr("harvester.batching.taking.PAGE", 3)
    batches.ends, batches.done_share = "expired", 0.5
    batches.spoil = lambda lines: lines[:-1]
    collect()
    assert looked_up == [3, 3, 3, 1]  # four answers and five errors, and the one of which no line speaks
    assert len(answers(stored)) == 4
