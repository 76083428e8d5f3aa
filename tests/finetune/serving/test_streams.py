import asyncio
import json
import threading
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from clients import http_client, serving
from openai import AsyncOpenAI
from toys import make_llama

from finetune.serving.calls import Call
from finetune.serving.decoding import answer
from finetune.serving.engine import Engine
from finetune.serving.rows import End, Event, Piece, Row
from finetune.serving.served import Served, load

CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "a"}], "temperature": 1.5, "max_tokens": 40}


async def events(http: httpx.AsyncClient, path: str, body: dict[str, Any]) -> list[Any]:
    reply = await http.post(path, json=body | {"stream": True})
    assert reply.headers["content-type"].startswith("text/event-stream")
    lines = [line.removeprefix("data: ") for line in reply.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def joined(chunks: list[Any], index: int, field: str) -> str:
    choices = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
    return "".join((choice.get("delta") or choice).get(field) or "" for choice in choices)


@pytest.mark.parametrize("seed", range(6))
async def test_a_streamed_chat_is_the_whole_one(http: httpx.AsyncClient, seed: int) -> None:
    """The tiny model says bytes at random, so most of its characters are torn over tokens or broken."""
    body = CHAT | {"seed": seed, "n": 2, "logprobs": True, "top_logprobs": 2, "return_token_ids": True}
    whole = (await http.post("/v1/chat/completions", json=body)).json()
    chunks = await events(http, "/v1/chat/completions", body)
    assert chunks[0]["prompt_token_ids"] == whole["prompt_token_ids"]
    for index, choice in enumerate(whole["choices"]):
        mine = [one for chunk in chunks for one in chunk["choices"] if one["index"] == index]
        assert mine[0]["delta"] == {"role": "assistant", "content": ""}
        assert joined(chunks, index, "content") == choice["message"]["content"]
        assert [token for one in mine for token in one.get("token_ids", [])] == choice["token_ids"]
        listed = [entry for one in mine for entry in (one["logprobs"] or {}).get("content", [])]
        assert [entry["token"] for entry in listed] == [one["token"] for one in choice["logprobs"]["content"]]
        assert [one["finish_reason"] for one in mine][-1] == choice["finish_reason"]
        assert [one["finish_reason"] for one in mine][:-1] == [None] * (len(mine) - 1)


@pytest.mark.parametrize("seed", range(3))
async def test_a_streamed_completion_is_the_whole_one(http: httpx.AsyncClient, seed: int) -> None:
    body = {"model": "tiny", "prompt": ["a", "bb"], "seed": seed, "max_tokens": 30, "logprobs": 1}
    whole = (await http.post("/v1/completions", json=body)).json()
    chunks = await events(http, "/v1/completions", body)
    for index, choice in enumerate(whole["choices"]):
        assert joined(chunks, index, "text") == choice["text"]
        listed = [one["logprobs"] for chunk in chunks for one in chunk["choices"] if one["index"] == index]
        for field in ("tokens", "text_offset", "token_logprobs", "top_logprobs"):
            assert [value for one in listed for value in one[field]] == choice["logprobs"][field]


async def test_a_stop_cuts_a_stream_where_it_cuts_the_whole(http: httpx.AsyncClient) -> None:
    text = (await http.post("/v1/chat/completions", json=CHAT | {"seed": 1})).json()["choices"][0]["message"]["content"]
    stop = text[6:9]
    chunks = await events(http, "/v1/chat/completions", CHAT | {"seed": 1, "stop": stop})
    assert joined(chunks, 0, "content") == text[: text.index(stop)]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


async def test_usage_comes_last_where_it_is_asked_for(openai: AsyncOpenAI) -> None:
    stream = await openai.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": "a"}],
        max_tokens=5,
        seed=1,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices == []
    assert chunks[-1].usage
    assert (chunks[-1].usage.completion_tokens, chunks[-1].usage.prompt_tokens) == (5, 20)
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_a_thought_stands_apart_from_what_is_said(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The template opens a thought; what the random model makes of it never closes it."""
    folder = make_llama(tmp_path_factory.mktemp("thinker"), initializer_range=0.3, max_position_embeddings=512)
    template = folder / "chat_template.jinja"
    opening = "<|im_start|>assistant\n"
    template.write_text(template.read_text().replace("assistant\n", "assistant\n<think>\n"))
    assert opening.replace("\n", "\n<think>\n") in template.read_text()
    async with serving(Engine(load(str(folder), name="tiny"))) as server, http_client(server) as http:
        body = CHAT | {"seed": 1}
        message = (await http.post("/v1/chat/completions", json=body)).json()["choices"][0]["message"]
        chunks = await events(http, "/v1/chat/completions", body)
        assert message["content"] == joined(chunks, 0, "content") == ""
        assert message["reasoning_content"] == joined(chunks, 0, "reasoning_content") != ""


async def test_a_row_leaves_when_whoever_asked_is_gone(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    gone, go_on, told = asyncio.Event(), threading.Event(), []
    leave = Call.__aexit__

    async def leave_and_say(call: Call, *error: object) -> None:
        await leave(call, *error)
        gone.set()

    def run(served: Served, rows: Sequence[Row]) -> None:
        tell = rows[0].tell

        def tell_and_wait(event: Event) -> None:
            told.append(event)
            tell(event)
            assert go_on.wait(timeout=60)

        rows[0].tell = tell_and_wait
        answer(served, rows)

    monkeypatch.setattr(Call, "__aexit__", leave_and_say)
    async with serving(Engine(served, run=run)) as server, http_client(server) as http:
        body = CHAT | {"max_tokens": 400, "stream": True, "temperature": 0}
        async with http.stream("POST", "/v1/chat/completions", json=body) as reply:
            lines = reply.aiter_lines()
            while not told:  # the stream's opening comes before the first token
                await anext(lines)
        await gone.wait()
        go_on.set()
    assert len(told) == 1


async def test_a_failure_in_the_middle_of_a_stream_is_its_last_event(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Served, rows: Any) -> None:
        raise ZeroDivisionError("the model's fault")

    async with serving(Engine(served, run=fail)) as server, http_client(server) as http:
        reply = await http.post("/v1/chat/completions", json=CHAT | {"stream": True})
        last = json.loads(reply.text.strip().split("\n\n")[-1].removeprefix("data: "))
        assert last["error"]["type"] == "server_error"
        assert "the model's fault" not in reply.text
        whole = await http.post("/v1/chat/completions", json=CHAT)
        assert (whole.status_code, whole.json()) == (500, last)
    assert "ZeroDivisionError: the model's fault" in capsys.readouterr().err


async def test_it_streams_while_it_computes(served: Served) -> None:
    """The first words are read before the others are made."""
    read = threading.Event()

    def run(_: Served, rows: Sequence[Row]) -> None:
        rows[0].tell(Piece("first"))
        assert read.wait(timeout=60)
        rows[0].tell(Piece("second"))
        rows[0].tell(End("stop", 2))

    async with serving(Engine(served, run=run)) as server, http_client(server) as http:
        seen: list[str] = []
        async with http.stream("POST", "/v1/chat/completions", json=CHAT | {"stream": True}) as reply:
            async for line in reply.aiter_lines():
                seen.append(line)
                if "first" in line:
                    read.set()
        assert any("second" in line for line in seen)
