"""Streams as they come over a connection: slow, endless, cut off, from a real model; and what is stored of them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from harvester.collecting import collect
from harvester.parsing import decode, parse
from harvester.recipe import Recipe, Teacher
from harvester.retry import BodyTooLarge, Received, Reply, Retry, decide
from harvester.status import status
from harvester.store import StoreReader
from harvester.teachers import embedded, openai_compat, weights

from streams import DONE, USAGE, chunk, event, stream, usage_chunk  # isort: skip - a helper beside the tests

BODY = b'{"messages":[{"content":"x","role":"user"}],"model":"toy-1"}'
Writer = Callable[[web.StreamResponse], Awaitable[None]]


async def ask(write: Writer, *, timeout_s: float = 30, **teacher: Any) -> Received | Exception:
    """What the client makes of a reply that `write` writes; the request must ask for a stream."""

    async def handle(request: web.Request) -> web.StreamResponse:
        assert (await request.json())["stream"] is True
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            await write(response)
        except ConnectionError:  # the client has left, as it should
            response.force_close()
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", handle)
    async with TestServer(app) as server:
        fields = {"model": "toy-1", "local": True, "stream": True, "timeout_s": timeout_s, **teacher}
        connected = Teacher.model_validate({"base_url": str(server.make_url("/v1")), **fields})
        async with openai_compat.connect(connected, openai_compat.Access()) as client:
            try:
                return await client.send(BODY)
            except Exception as error:  # noqa: BLE001 - what `decide` is given
                return error


async def test_a_slow_stream_in_odd_pieces_is_read_to_its_end() -> None:
    raw = b": ping\n\n" + stream("H\N{LATIN SMALL LETTER E WITH ACUTE}", " \N{GRINNING FACE}")

    async def write(response: web.StreamResponse) -> None:
        for at in range(0, len(raw), 7):
            await response.write(raw[at : at + 7])
            await asyncio.sleep(0.002)

    received = await ask(write)
    assert isinstance(received, Received)
    assert received.body == raw
    decision = decide(received)
    assert isinstance(decision, Reply)
    assert decision.decoded == decode(raw)
    assert parse(received.body).text == "H\N{LATIN SMALL LETTER E WITH ACUTE} \N{GRINNING FACE}"


@pytest.mark.parametrize("beat", [b": OPENROUTER PROCESSING\n\n", b"\n", event(chunk({"content": "more"}))])
async def test_signs_of_life_do_not_move_the_deadline(beat: bytes) -> None:
    async def write(response: web.StreamResponse) -> None:
        while True:
            await response.write(beat)
            await asyncio.sleep(0.01)

    outcome = await ask(write, timeout_s=0.3)
    assert isinstance(outcome, TimeoutError)
    assert decide(outcome) == Retry("timeout", maybe_billed=True)


async def test_a_stream_without_end_stops_at_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_compat, "MAX_BODY_BYTES", 1 << 20)

    async def write(response: web.StreamResponse) -> None:
        while True:
            await response.write(b": keep-alives count too\n\n" * 1000)

    assert isinstance(await ask(write), BodyTooLarge)


@pytest.mark.parametrize(
    "sent", [event(chunk({"content": "half"})), stream("half")], ids=["in the middle", "at the end"]
)
async def test_a_reset_in_a_stream_is_a_lost_connection(sent: bytes) -> None:
    async def write(response: web.StreamResponse) -> None:
        await response.write(sent)
        await asyncio.sleep(0.05)  # it arrives
        assert response._req
        assert response._req.transport
        response._req.transport.abort()

    outcome = await ask(write)
    assert isinstance(outcome, Exception)
    decision = decide(outcome)
    assert isinstance(decision, Retry)
    assert decision.reason.startswith("connection lost")
    assert decision.maybe_billed


async def test_a_stream_that_just_stops_is_tried_again() -> None:
    async def write(response: web.StreamResponse) -> None:
        await response.write(event(chunk({"content": "half"})))

    outcome = await ask(write)
    assert isinstance(outcome, Received)
    assert decide(outcome) == Retry("truncated or empty reply", maybe_billed=True)


async def test_an_error_in_a_stream_is_classified_by_its_code_and_quoted() -> None:
    async def write(response: web.StreamResponse) -> None:
        await response.write(event(chunk({"content": "half"})))
        await response.write(event({"error": {"code": 502, "message": "upstream died"}}))

    outcome = await ask(write)
    assert isinstance(outcome, Received)
    decision = decide(outcome)
    assert isinstance(decision, Retry)
    assert decision.reason == "HTTP 502: upstream died"


async def asked(**teacher: Any) -> bytes:
    """The bytes of a request's body as a teacher with these fields sends it."""
    bodies: list[bytes] = []

    async def handle(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        return web.Response(body=stream("x"))

    app = web.Application()
    app.router.add_post("/v1/chat/completions", handle)
    async with TestServer(app) as server:
        url = str(server.make_url("/v1"))
        connected = Teacher.model_validate({"base_url": url, "model": "toy-1", "local": True, **teacher})
        async with openai_compat.connect(connected, openai_compat.Access()) as client:
            await client.send(BODY)
    return bodies[0]


async def test_only_who_streams_is_sent_more_than_the_body() -> None:
    asking = {**json.loads(BODY), "stream": True}
    assert await asked() == BODY
    assert json.loads(await asked(stream=True)) == {**asking, "stream_options": {"include_usage": True}}
    assert json.loads(await asked(stream=True, provider="mistral")) == asking
    assert json.loads(await asked(provider="fireworks"))["stream"] is True
    assert await asked(provider="fireworks", stream=False) == BODY


def streams(texts: dict[str, Any], _before: int) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, b": ping\n\n" + stream("answer to ", texts["messages"][-1]["content"].split()[-1])


def test_streams_are_stored_as_they_came_and_settled_by_their_usage(folder: Any, provider: Any) -> None:
    provider.script = streams
    folder.data["teacher"] |= {"stream": True, "price": {"input": 1, "output": 10}}
    folder.data["budget"] = {"usd": 1}
    folder.save()
    recipe = Recipe.load(folder.path)
    assert asyncio.run(collect(recipe)).answered == 10
    assert {body["stream"] for body in provider.asked} == {True}
    expected_usd = 10 * (USAGE["prompt_tokens"] * 1 + USAGE["completion_tokens"] * 10) / 1e6
    assert status(recipe)["usd"] == pytest.approx(expected_usd)
    with StoreReader.open(folder.path / "harvest.db") as reader:
        plan = reader.current_plan("toy")
        assert plan
        rows = list(reader.rows(plan))
    assert not any(b"stream" in row.request_body for row in rows)
    assert {row.reply.raw[:8] for row in rows if row.reply} == {b": ping\n\n"}
    assert {row.outcome.accepted for row in rows if row.outcome} == {True}


def test_whether_it_streams_asks_nothing_again(folder: Any, provider: Any) -> None:
    assert asyncio.run(collect(Recipe.load(folder.path))).answered == 10
    folder.data["teacher"]["stream"] = True
    folder.save()
    assert asyncio.run(collect(Recipe.load(folder.path))).answered == 0
    assert not any("stream" in body for body in provider.asked)


async def test_the_openai_sdk_puts_the_same_stream_together() -> None:
    openai = pytest.importorskip("openai")
    tokens = [
        {"token": token, "logprob": -0.5, "bytes": list(token.encode()), "top_logprobs": []} for token in ("Hi", " you")
    ]
    call = {"index": 0, "id": "t0", "type": "function", "function": {"name": "look", "arguments": ""}}
    chunks = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hi"}, logprobs={"content": tokens[:1], "refusal": None}),
        chunk({"content": " you"}, logprobs={"content": tokens[1:], "refusal": None}),
        chunk({"tool_calls": [call]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"at"'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}),
        chunk({}, "tool_calls"),
        usage_chunk(USAGE),
    ]
    raw = b": ping\n\n" + b"".join(map(event, chunks)) + DONE

    async def handle(_request: web.Request) -> web.Response:
        return web.Response(body=raw, content_type="text/event-stream")

    app = web.Application()
    app.router.add_post("/v1/chat/completions", handle)
    async with TestServer(app) as server:
        client = openai.AsyncOpenAI(base_url=str(server.make_url("/v1")), api_key="none", max_retries=0)
        question: Any = [{"role": "user", "content": "x"}]
        async with client, client.chat.completions.stream(model="toy-1", messages=question) as sdk:
            theirs = await sdk.get_final_completion()
    ours = openai.types.chat.ChatCompletion.model_validate(decode(raw))
    names = {"id": ..., "model": ..., "usage": {"prompt_tokens", "completion_tokens"}, "created": ..., "object": ...}
    assert ours.model_dump(include=names) == theirs.model_dump(include=names)
    mine, other = ours.choices[0].model_dump(), theirs.choices[0].model_dump()
    assert mine["finish_reason"] == other["finish_reason"]
    assert mine["logprobs"]["content"] == other["logprobs"]["content"]
    assert mine["message"]["content"] == other["message"]["content"] == "Hi you"
    (mine_call,), (other_call,) = mine["message"]["tool_calls"], other["message"]["tool_calls"]
    assert (mine_call["id"], mine_call["function"]["name"]) == (other_call["id"], other_call["function"]["name"])
    assert mine_call["function"]["arguments"] == other_call["function"]["arguments"]


@pytest.mark.slow
def test_the_embedded_model_streams_what_it_says_in_one_piece() -> None:
    pytest.importorskip("xllamacpp")
    question: dict[str, Any] = {
        "model": weights.MODEL_NAME,
        "messages": [{"role": "user", "content": "Say hi."}],
        "max_tokens": 8,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": 3,
    }

    async def both() -> list[bytes]:
        async with embedded.running(weights.MODEL_NAME, slots=1, where="recipe.yaml") as running:
            fields = {"base_url": running.base_url, "model": weights.MODEL_NAME, "local": True}
            replies = []
            for streams in (False, True):
                teacher = Teacher.model_validate({**fields, "stream": streams})
                async with openai_compat.connect(teacher, openai_compat.Access(running.key)) as client:
                    replies.append((await client.send(json.dumps(question).encode())).body)
            return replies

    plain, streamed = asyncio.run(both())
    assert streamed.startswith(b"data:")
    one, other = parse(plain), parse(streamed)
    assert (one.text, one.status, one.finish_reason) == (other.text, other.status, other.finish_reason)
    assert one.usage.output_tokens == other.usage.output_tokens == 8
    assert [token["bytes"] for token in one.logprobs] == [token["bytes"] for token in other.logprobs]
    assert [len(token["top_logprobs"]) for token in other.logprobs] == [3] * len(one.logprobs)


@pytest.mark.slow
def test_the_embedded_model_is_collected_as_streams(folder: Any) -> None:
    pytest.importorskip("xllamacpp")
    sampling = {"temperature": 0, "max_tokens": 4, "logprobs": 2}
    folder.data["teacher"] = {
        "base_url": "embedded",
        "model": weights.MODEL_NAME,
        "stream": True,
        "sampling": sampling,
    }
    folder.data["terms"] = {}
    folder.seeds("train.jsonl", ["one", "two"])
    folder.save()
    assert asyncio.run(collect(Recipe.load(folder.path))).answered == 2
    with StoreReader.open(folder.path / "harvest.db") as reader:
        raws = [row.reply.raw for row in reader.rows(1) if row.reply]
    assert all(raw.startswith(b"data:") for raw in raws)
    assert [len(parse(raw).logprobs) for raw in raws] == [4, 4]
