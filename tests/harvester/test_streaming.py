"""Streams put together again: the same answer as the plain reply, or none; never a shorter one."""

import json
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.parsing import decode, parse, parse_decoded, read_usage
from harvester.records import Answer, Usage

from streams import DONE, USAGE, chunk, cut, event, stream, units, usage_chunk  # isort: skip - a helper beside the tests

UNHURRIED = settings(deadline=None)  # a loaded machine is no failure
WHOLE = Answer("ok", "Hi you", None, "stop", "toy-1", Usage(10, 5))


@pytest.mark.parametrize(
    "raw",
    [
        stream("Hi", " you"),
        stream("Hi you").replace(b"\n", b"\r\n"),
        stream("Hi you").replace(b"\n", b"\r"),
        b"\xef\xbb\xbf" + stream("Hi you"),
        b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n" + stream("Hi you"),
        stream("Hi you").replace(b"\n\n", b"\n\n: caf\xff\n\n"),
        stream("Hi you").replace(b"data: ", b"event: message\nid: 7\nretry: 1\ndata:"),
        stream("Hi you").replace(b', "object"', b',\ndata: "object"'),
        b"\n\n" + stream("Hi", "", " you") + b": the end\n\n",
        stream("Hi you").removesuffix(DONE),
        stream("Hi you").removesuffix(b"\n\n"),
        stream("Hi you").replace(DONE, event(b"END") + event(b"0")),
        stream("Hi you") + event({"error": "too late"}),
        event(b"") + event(b'{"type": "ping"}') + stream("Hi you"),
        event(chunk({}) | {"choices": None, "model": "", "id": None}) + stream("Hi you"),
        stream("Hi you").removesuffix(DONE) + event({"choices": [], "model": "", "usage": None}),
        event(chunk({"content": "Hi you"}) | {"usage": USAGE}) + event(chunk({}, "stop")).strip(),
    ],
)
def test_a_stream_reads_as_the_plain_reply(raw: bytes) -> None:
    assert parse(raw) == WHOLE


@pytest.mark.parametrize(
    "before", [b"\n\n\n", b" \r\n", b": OPENROUTER PROCESSING\n\n", b"\xef\xbb\xbf: a\r\n\r\n\n:\n"]
)
def test_json_behind_keep_alives_is_read(before: bytes) -> None:
    reply = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    assert decode(before + json.dumps(reply).encode()) == reply


def test_all_fields_of_a_completion_are_put_together() -> None:
    def called(index: int, **function: str) -> dict[str, Any]:
        return {"index": index, "function": function}

    top = [{"token": token, "logprob": -0.5, "bytes": [65], "top_logprobs": []} for token in "ab"]
    chunks = [
        chunk({"role": "assistant", "reasoning_content": "think"}),
        chunk({"reasoning_content": "ing", "content": None}),
        chunk({"content": "a"}, logprobs={"content": top[:1]}),
        chunk({"content": "b"}, logprobs={"content": top[1:]}),
        chunk({"refusal": "No"}, logprobs=None),
        chunk({"tool_calls": [called(1, name="later", arguments="{}") | {"id": "t1", "type": "function"}]}),
        chunk({"tool_calls": [called(0, name="first", arguments='{"x"') | {"id": "t0", "type": "function"}]}),
        chunk({"tool_calls": [called(0, arguments=": 1}")]}),
        chunk({}, "tool_calls"),
        chunk({"content": ""}) | {"usage": None},  # OpenRouter: a chunk without a reason after the one with it
        usage_chunk(USAGE),
    ]
    assert decode(b"".join(map(event, chunks)) + DONE) == {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "toy-1",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "ab",
                    "reasoning_content": "thinking",
                    "refusal": "No",
                    "tool_calls": [
                        {"id": "t0", "type": "function", "function": {"name": "first", "arguments": '{"x": 1}'}},
                        {"id": "t1", "type": "function", "function": {"name": "later", "arguments": "{}"}},
                    ],
                },
                "logprobs": {"content": top},
                "finish_reason": "tool_calls",
            }
        ],
        "usage": USAGE,
    }


def test_usage_inside_the_choice_is_found() -> None:
    raw = event(chunk({"content": "x"})) + event(chunk({}, "stop", usage=USAGE)) + DONE
    assert read_usage(decode(raw)) == Usage(10, 5)


def test_content_parts_are_no_text_as_in_a_plain_reply() -> None:
    part = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    raw = event(chunk({"content": [part]})) + event(chunk({"content": "4"}, "stop")) + DONE
    assert decode(raw)["choices"][0]["message"]["content"] == [part, "4"]
    assert parse(raw).status == "empty"


def test_other_choices_do_not_leak_into_the_first() -> None:
    other = chunk({"content": "other"}, "stop")
    other["choices"][0]["index"] = 1
    assert parse(event(other) + stream("Hi you") + event(other)) == WHOLE
    with pytest.raises(ValueError, match="finish_reason None"):
        decode(event(other) + DONE)


ERROR = {"message": "overloaded", "code": 502}


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"error": ERROR}, ERROR),
        ({"error": "overloaded"}, "overloaded"),
        (chunk({"content": ""}, "error") | {"error": ERROR}, ERROR),
        (chunk({"content": ""}, "error", error=ERROR), ERROR),
        ({"object": "error", **ERROR}, {"object": "error", **ERROR}),
    ],
)
def test_an_error_in_a_stream_is_its_result_whatever_came_before(bad: Any, error: Any) -> None:
    assert decode(event(bad) + DONE) == {"error": error}
    assert decode(event(chunk({"content": "half"})) + event(bad)) == {"error": error}
    assert decode(stream("Hi").removesuffix(DONE) + event(bad) + DONE) == {"error": error}
    assert parse(event(chunk({"content": "half"})) + event(bad)).status == "unreadable"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n\n",
        b": ping\n\n",
        DONE,
        event(usage_chunk(USAGE)) + DONE,
        event(chunk({"content": "half"})) + DONE,
        stream("half", finish_reason="error"),
        stream("half", finish_reason="insufficient_system_resource"),
        stream("half", finish_reason=""),
        event(chunk({"content": "half"})) + DONE + stream("rest"),
        event(chunk({"content": "half"})) + event(b"{broken") + stream("rest"),
        event(b"7") + stream("rest"),
        b'{"choices": [{"message": {"content": "half',
        b': ping\n\n{"choices": [{"message": {"content": "half',
        b"<html>Bad gateway</html>",
        b"[" * 100_000,
        event(b"[" * 100_000) + DONE,
    ],
)
def test_what_is_not_whole_is_no_reply(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own messages among them
        decode(raw)
    assert parse(raw) == Answer("unreadable")


texts = st.text(st.characters(codec="utf-8"), max_size=30)  # what providers can send
tokens = st.lists(st.fixed_dictionaries({"token": texts, "logprob": st.floats(max_value=0)}), max_size=8)
calls = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.text("abc", min_size=1, max_size=3),
            "type": st.just("function"),
            "function": st.fixed_dictionaries({"name": st.text("xyz", min_size=1), "arguments": texts}),
        }
    ),
    min_size=1,
    max_size=3,
)
messages = st.fixed_dictionaries(
    {"content": texts | st.none()},
    optional={"reasoning_content": texts, "reasoning": texts, "refusal": texts, "tool_calls": calls},
)
completions = st.builds(
    lambda message, finish_reason, logprobs, usage: {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "toy-1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", **message},
                "logprobs": None if logprobs is None else {"content": logprobs},
                "finish_reason": finish_reason,
            }
        ],
        **usage,
    },
    messages,
    st.sampled_from(["stop", "length", "content_filter", "tool_calls"]),
    st.none() | tokens,
    st.sampled_from([{}, {"usage": USAGE}]),
)


def deltas(message: dict[str, Any], sizes: Any) -> list[dict[str, Any]]:
    """The message in pieces: every text cut, at UTF-16 units, and every tool call's arguments."""
    pieces: list[dict[str, Any]] = [{"role": "assistant"}]
    for name in ("reasoning_content", "reasoning", "refusal", "content"):
        if (text := message.get(name)) is not None:
            pieces += [{name: "".join(part)} for part in cut(units(text), sizes)] or [{name: ""}]
    for index, call in enumerate(message.get("tool_calls", ())):
        begun = {**call, "index": index, "function": {**call["function"], "arguments": ""}}
        pieces.append({"tool_calls": [begun]})
        for part in cut(units(call["function"]["arguments"]), sizes):
            pieces.append({"tool_calls": [{"index": index, "function": {"arguments": "".join(part)}}]})
    return pieces


@st.composite
def streamed(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    """A completion, and a stream of it as some provider might write one."""
    completion = draw(completions)
    sizes = cycle(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    choice = completion["choices"][0]
    chunks = [chunk(delta) for delta in deltas(choice["message"], sizes)]
    if choice["logprobs"]:
        logprobs = choice["logprobs"]["content"]
        chunks += [chunk({}, logprobs={"content": part}) for part in cut(logprobs, sizes)]
        chunks.append(chunk({}, logprobs={"content": []}))
    if draw(st.booleans()):
        chunks[-1]["choices"][0]["finish_reason"] = choice["finish_reason"]
    else:
        chunks.append(chunk({}, choice["finish_reason"]))
    if "usage" in completion:
        chunks.append(usage_chunk(completion["usage"]))
    newline = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    lines = [draw(st.sampled_from(["", ": ping", ": ping" + newline, "event: message"])) for _ in chunks]
    indent, ascii_only = draw(st.sampled_from([None, 1])), draw(st.booleans())
    raw = b""
    for line, piece in zip(lines, chunks, strict=True):
        text = json.dumps(piece, indent=indent, ensure_ascii=ascii_only or any(map(half, strings(piece))))
        data = "".join(f"data: {part}{newline}" for part in text.split("\n"))
        raw += f"{line}{newline if line else ''}{data}{newline}".encode()
    return completion, raw + draw(st.sampled_from([b"", f"data: [DONE]{newline}{newline}".encode()]))


def strings(value: Any) -> list[str]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value] if isinstance(value, str) else [text for item in inner for text in strings(item)]


def half(text: str) -> bool:
    return any(0xD800 <= ord(unit) < 0xE000 for unit in text)


@UNHURRIED
@given(streamed())
def test_any_completion_in_any_pieces_is_the_plain_reply(case: tuple[dict[str, Any], bytes]) -> None:
    completion, raw = case
    assert parse(raw) == parse(json.dumps(completion).encode())
    assert decode(raw) == completion


@UNHURRIED
@given(streamed(), st.data())
def test_a_stream_that_is_cut_anywhere_is_an_error_or_the_full_answer(case: Any, data: st.DataObject) -> None:
    completion, raw = case
    at = data.draw(st.integers(0, len(raw)))
    try:
        reply = decode(raw[:at])
    except ValueError:
        return
    reply.pop("usage", None)  # it comes after the end; without it the worst case is counted
    assert reply == {name: value for name, value in completion.items() if name != "usage"}


def test_a_stream_that_is_cut_at_every_byte_is_never_a_shorter_text() -> None:
    raw = b": ping\r\n\r\n" + stream("Hé", " you", "\N{GRINNING FACE}").replace(b"\n", b"\r\n")
    whole = parse(raw).text
    texts = [parse(raw[:at]).text for at in range(len(raw))]
    answered = [text for text in texts if text]
    assert set(answered) == {whole}
    assert 0 < len(answered) < len(raw) / 2


pieces = st.sampled_from(
    [b"data: ", b"data:", b"\n", b"\r\n", b"\n\n", b": x", b"[DONE]", b"{", b"}", b'{"choices":[]}', b"\xff", b"7",
     *(event(chunk(delta, reason)) for delta in ({}, {"content": "x"}) for reason in (None, "stop"))]
)  # fmt: skip
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
odd_call = st.fixed_dictionaries(
    {},
    optional={
        "index": anything,
        "id": anything,
        "function": anything | st.fixed_dictionaries({}, optional=dict.fromkeys(("name", "arguments"), anything)),
    },
)
odd_delta = st.fixed_dictionaries(
    {},
    optional={**dict.fromkeys(("role", "content", "reasoning"), anything), "tool_calls": anything | st.lists(odd_call)},
)
odd_choice = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("index", "finish_reason", "logprobs", "usage"), anything),
        "delta": anything | odd_delta,
    },
)
odd_chunk = anything | st.fixed_dictionaries(
    {"choices": anything | st.lists(odd_choice, max_size=3)}, optional=dict.fromkeys(("id", "model", "usage"), anything)
)
odd_stream = st.lists(odd_chunk.map(event), max_size=4).map(b"".join)


@UNHURRIED
@given(st.binary() | st.lists(pieces).map(b"".join) | odd_stream | odd_stream.map(lambda raw: raw + stream("x")))
def test_no_bytes_do_worse_than_a_value_error(raw: bytes) -> None:
    answer = parse(raw)
    try:
        reply = decode(raw)
    except ValueError:
        assert answer == Answer("unreadable")
    else:
        assert repr(parse_decoded(reply)) == repr(answer)  # NaN is not equal to itself
