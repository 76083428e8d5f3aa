import contextlib
import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI, BadRequestError, NotFoundError

from finetune.serving.refusals import Refused
from finetune.serving.requests import ChatAsked, CompletionAsked, DetokenizeAsked, TokenizeAsked, read

CHAT: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "a"}]}
TEXT: dict[str, Any] = {"model": "tiny", "prompt": "a"}


def refusal(kind: Any, body: object) -> Refused:
    with pytest.raises(Refused) as caught:
        read(kind, body if isinstance(body, bytes) else json.dumps(body).encode())
    return caught.value


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"frequency_penalty": 0.1}, "frequency_penalty"),
        ({"presence_penalty": -0.1}, "presence_penalty"),
        ({"repetition_penalty": 1.1}, "repetition_penalty"),
        ({"never_heard_of": None, "or_of_this": 1}, "or_of_this"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_k": 1.5}, "top_k"),
        ({"min_p": 2}, "min_p"),
        ({"n": 0}, "n"),
        ({"n": True}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"stop": [""]}, "stop.0"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 1}, "top_logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"more": 1}}, "stream_options.more"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "a", "tool_calls": []}]}, "messages.0.tool_calls"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]}, "messages.0.content"),
    ],
)
def test_a_field_of_a_chat_that_is_wrong_or_not_supported_is_named(more: dict[str, Any], param: str) -> None:
    found = refusal(ChatAsked, CHAT | more)
    assert (found.status, found.param) == (400, param)
    assert param in str(found)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"echo": True}, "echo"),
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"logprobs": True}, "logprobs"),
        ({"prompt_logprobs": 21}, "prompt_logprobs"),
        ({"prompt_logprobs": -1}, "prompt_logprobs"),
        ({"prompt_logprobs": 1, "stream": True}, "prompt_logprobs"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"prompt": ["a"] * 129}, "prompt"),
        ({"prompt": ["a"] * 65, "n": 2}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", [1]]}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": [1, True]}, "prompt"),
        ({"prompt": {"text": "a"}}, "prompt"),
    ],
)
def test_a_field_of_a_completion_that_is_wrong_or_not_supported_is_named(more: dict[str, Any], param: str) -> None:
    found = refusal(CompletionAsked, TEXT | more)
    assert (found.status, found.param) == (400, param)


def test_what_asks_for_nothing_passes() -> None:
    neutral = {
        "tools": [], "tool_choice": "none", "response_format": {"type": "text"}, "logit_bias": {}, "user": "me",
        "frequency_penalty": 0.0, "presence_penalty": 0, "repetition_penalty": 1.0, "seed": None, "stop": None,
        "top_logprobs": None, "metadata": {"a": "b"},
    }  # fmt: skip
    assert read(ChatAsked, json.dumps(CHAT | neutral).encode()) == read(ChatAsked, json.dumps(CHAT).encode())


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b'{"temperature": NaN}', b"[" * 100_000])
def test_what_is_no_json_object_is_said(raw: bytes) -> None:
    assert refusal(ChatAsked, raw).code == "invalid_json"


def test_half_a_surrogate_pair_is_no_text() -> None:
    assert refusal(CompletionAsked, b'{"model": "tiny", "prompt": "\\ud83d"}').status == 400
    assert read(CompletionAsked, b'{"model": "tiny", "prompt": "\\ud83d\\ude00"}').prompt == ["😀"]


@pytest.mark.parametrize("body", [{}, {"prompt": "a", "messages": CHAT["messages"]}])
def test_tokenize_takes_a_text_or_a_conversation(body: dict[str, Any]) -> None:
    assert refusal(TokenizeAsked, body).param == "prompt"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [*ChatAsked.model_fields, *CompletionAsked.model_fields, "tools", "echo", "user", "nonsense"]


@given(
    st.sampled_from([ChatAsked, CompletionAsked, TokenizeAsked, DetokenizeAsked]),
    st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6),
)
def test_whatever_is_sent_is_read_or_refused(kind: Any, body: dict[str, Any]) -> None:
    for sent in (CHAT | TEXT | body, body):
        with contextlib.suppress(Refused):
            read(kind, json.dumps(sent).encode())


async def test_the_sdk_sees_openai_s_errors(openai: AsyncOpenAI) -> None:
    with pytest.raises(NotFoundError) as missing:
        await openai.chat.completions.create(model="other", messages=CHAT["messages"])
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(BadRequestError) as unsupported:
        await openai.chat.completions.create(**CHAT, frequency_penalty=1)
    assert (unsupported.value.param, unsupported.value.type) == ("frequency_penalty", "invalid_request_error")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a" * 600}]}),
        ("/v1/chat/completions", CHAT | {"max_tokens": 500}),
        ("/v1/completions", {"prompt": [5] * 513, "max_tokens": 0}),
        ("/v1/completions", {"prompt": [[5], [5] * 500], "max_tokens": 13}),
    ],
)
async def test_what_does_not_fit_into_the_context_is_refused(http: httpx.AsyncClient, path: str, body: Any) -> None:
    reply = await http.post(path, json={"model": "tiny"} | body)
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "context_length_exceeded"
    assert "512 tokens" in reply.json()["error"]["message"]


async def test_the_context_can_be_filled_to_the_last_token(http: httpx.AsyncClient) -> None:
    for prompt, most in ((512, 0), (500, 12)):
        body = {"model": "tiny", "prompt": [5] * prompt, "max_tokens": most, "temperature": 0, "prompt_logprobs": 0}
        assert (await http.post("/v1/completions", json=body)).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/completions", {"prompt": [5, 9999]}, "prompt"),
        ("/v1/completions", {"prompt": [-1]}, "prompt"),
        ("/v1/completions", {"prompt": ""}, "prompt"),
        ("/v1/completions", {"prompt": [[5], []]}, "prompt"),
        ("/v1/chat/completions", {"messages": [{"role": "assistant", "content": "a"}]}, "messages"),
        ("/detokenize", {"tokens": [9999]}, "tokens"),
    ],
)
async def test_what_is_no_prompt_is_refused(http: httpx.AsyncClient, path: str, body: Any, param: str) -> None:
    reply = await http.post(path, json={"model": "tiny"} | body)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)
