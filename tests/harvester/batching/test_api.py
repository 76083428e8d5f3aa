"""The client of the Batch API: bounded, obedient, and one batch for one file."""

import io
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from harvester.batching import api
from harvester.batching.api import BatchAPI, Refused, Unavailable, connected
from harvester.batching.told import Told
from harvester.recipe import Teacher
from harvester.teachers.openai_compat import Access

from batch_provider import BatchProvider  # isort: skip - a helper beside the tests

INPUT = b'{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"messages":[{"content":"one"}]}}\n'
KEY = "sk-a-key-that-nobody-may-see"
Connect = Callable[[], AbstractAsyncContextManager[BatchAPI]]


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def client(batches: BatchProvider, slept: list[float]) -> Connect:
    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    @asynccontextmanager
    async def connect() -> AsyncIterator[BatchAPI]:
        teacher = Teacher(base_url=batches.url, model="toy-1", local=True)
        async with connected("teacher", teacher, Access(KEY), sleep=sleep) as found:
            yield found

    return connect


async def made(found: BatchAPI, name: str = "t1") -> Told:
    file_id = await found.upload("requests.jsonl", io.BytesIO(INPUT))
    return await found.create(file_id, name, "24h")


async def test_a_file_goes_there_and_its_answers_come_back(client: Connect, batches: BatchProvider) -> None:
    async with client() as found:
        told = await made(found)
        assert (told.status, told.total) == ("validating", 1)
        assert (await found.retrieve(told.batch_id)).status == "in_progress"
        told = await found.retrieve(told.batch_id)
        assert (told.status, told.completed, told.failed) == ("completed", 1, 0)
        into = io.BytesIO(b"what was there before, and is longer than the answer" * 20)
        await found.download(told.output_file_id or "", into)
    assert batches.files["file-1"] == INPUT
    assert into.getvalue() == batches.batches[0].output
    assert b"answer to one" in into.getvalue()
    assert batches.batches[0].metadata == {"harvester": "t1"}


async def test_the_environment_adds_nothing_to_what_is_sent(
    client: Connect, batches: BatchProvider, monkeypatch: Any
) -> None:
    for name in ("ORG_ID", "PROJECT_ID", "API_KEY", "WEBHOOK_SECRET"):
        monkeypatch.setenv(f"OPENAI_{name}", "a-secret-of-somebody-else")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Other: a-secret-of-somebody-else")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with client() as found:
        await made(found)
    assert "a-secret-of-somebody-else" not in str(batches.headers)
    assert {one["Authorization"] for one in batches.headers} == {f"Bearer {KEY}"}


@pytest.mark.parametrize("call", ["upload", "create", "retrieve", "content", "list", "cancel"])
async def test_retry_after_is_obeyed_and_the_call_made_again(
    client: Connect, batches: BatchProvider, slept: list[float], call: str
) -> None:
    batches.looks_until_done = 0
    batches.refuse = lambda name, number: (429, {"Retry-After": "7"}, b"{}") if (name, number) == (call, 1) else None
    async with client() as found:
        told = await found.retrieve((await made(found)).batch_id)
        await found.download(told.output_file_id or "", io.BytesIO())
        assert await found.find("file-1", "t1")
        await found.cancel(told.batch_id)
    assert slept == [7.0]
    assert len(batches.batches) == 1


@pytest.mark.parametrize("call", ["upload", "create", "retrieve", "content"])
async def test_a_call_cut_off_is_made_again_and_makes_no_second_batch(
    client: Connect, batches: BatchProvider, call: str
) -> None:
    batches.looks_until_done = 0
    batches.cut = lambda name, number: (name, number) == (call, 1)
    async with client() as found:
        told = await found.retrieve((await made(found)).batch_id)
        into = io.BytesIO()
        await found.download(told.output_file_id or "", into)
    assert into.getvalue() == batches.batches[0].output
    assert len(batches.batches) == 1


async def test_a_provider_that_only_fails_is_given_up(
    client: Connect, batches: BatchProvider, slept: list[float]
) -> None:
    batches.refuse = lambda _name, _number: (500, {}, b'{"error": {"message": "out of order"}}')
    async with client() as found:
        with pytest.raises(Unavailable, match="teacher: HTTP 500: out of order"):
            await found.retrieve("batch_1")
    assert batches.calls["retrieve"] == api.ATTEMPTS
    assert slept == sorted(slept)


@pytest.mark.parametrize("status", [400, 401, 404])
async def test_a_refusal_is_final_and_repeats_no_key(client: Connect, batches: BatchProvider, status: int) -> None:
    said = f'{{"error": {{"message": "not with {KEY}"}}}}'.encode()
    batches.refuse = lambda _name, _number: (status, {}, said)
    async with client() as found:
        with pytest.raises(Refused, match="not with") as caught:
            await found.retrieve("batch_1")
    assert caught.value.status == status
    assert KEY not in str(caught.value)
    assert batches.calls["retrieve"] == 1


async def test_a_redirect_is_refused(client: Connect, batches: BatchProvider) -> None:
    batches.refuse = lambda _name, _number: (307, {"Location": "http://127.0.0.1:9/v1/batches"}, b"")
    async with client() as found:
        with pytest.raises(Refused, match="redirects are refused"):
            await found.retrieve("batch_1")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"3", b'{"object": "batch"}'])
async def test_a_reply_that_is_no_batch_is_no_answer(client: Connect, batches: BatchProvider, body: bytes) -> None:
    batches.refuse = lambda _name, _number: (200, {"Content-Type": "application/json"}, body)
    async with client() as found:
        with pytest.raises(Unavailable):
            await found.retrieve("batch_1")


async def test_a_reply_without_end_is_cut_off(client: Connect, batches: BatchProvider, monkeypatch: Any) -> None:
    monkeypatch.setattr("harvester.batching.guarded.MOST_BYTES", 1000)
    batches.refuse = lambda _name, _number: (200, {"Content-Type": "application/json"}, b" " * 2000)
    async with client() as found:
        with pytest.raises(Refused, match="larger than any"):
            await found.retrieve("batch_1")


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_batch_is_found_on_any_page_also_without_metadata(
    client: Connect, batches: BatchProvider, keeps: bool
) -> None:
    batches.page, batches.keep_metadata = 2, keeps
    async with client() as found:
        for token in ("t1", "t2", "t3", "t4", "t5"):
            await made(found, token)
        told = await found.find("file-2", "t2")
        assert told is not None
        assert told.batch_id == "batch_2"
        assert await found.find("file-9", "t9") is None
    assert batches.calls["list"] >= 5
