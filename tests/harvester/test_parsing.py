"""Replies of every kind: the answer they hold, and what can become of the worst of them."""

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.exporting.columns import Columns
from harvester.exporting.lineages import Lineage, lineages
from harvester.exporting.schema import SCHEMA
from harvester.judging import Rules
from harvester.parsing import other_model, parse, read_usage
from harvester.recipe import Recipe
from harvester.records import Usage
from harvester.store import StoredRow
from harvester.store.stored import StoredReply


def reply(message: Any, finish_reason: Any = "stop", **more: Any) -> bytes:
    return json.dumps({"choices": [{"message": message, "finish_reason": finish_reason}], **more}).encode()


@pytest.mark.parametrize(
    ("raw", "status", "text", "reasoning"),
    [
        (reply({"content": " hi \n"}), "ok", "hi", None),
        (reply({"content": "cut"}, "length"), "length", "cut", None),
        (reply({"content": ""}, "content_filter"), "content_filter", "", None),
        (reply({"content": None, "refusal": "I cannot."}), "refusal", "", None),
        (reply({"content": None}), "empty", "", None),
        (reply({"content": "   "}), "empty", "", None),
        (reply({"content": "4", "reasoning_content": "2+2"}), "ok", "4", "2+2"),
        (reply({"content": "4", "reasoning": "2+2"}), "ok", "4", "2+2"),
        (reply({"content": "<think>2+2</think>\n4"}), "ok", "4", "2+2"),
        (reply({"content": "<think>never closed"}), "ok", "<think>never closed", None),
        (b'{"choices": [{"message": {"content": "\\ud800"}}]}', "ok", "?", None),
        (b"", "unreadable", "", None),
        (b"[]", "unreadable", "", None),
        (b'{"choices": []}', "unreadable", "", None),
        (b'{"choices": [{"message": [1]}]}', "unreadable", "", None),
    ],
)
def test_a_reply_is_read(raw: bytes, status: str, text: str, reasoning: str | None) -> None:
    answer = parse(raw)
    assert (answer.status, answer.text, answer.reasoning) == (status, text, reasoning)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 2}, (9, 2, 0)),
        ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 5}}, (9, 2, 5)),
        ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 4}, (9, 2, 4)),
        ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 400}, (9, None, 9)),
        ({"prompt_tokens": -1, "completion_tokens": True}, (None, None, 0)),
        ("none", (None, None, 0)),
    ],
)
def test_usage_is_read_under_every_name(usage: Any, expected: Any) -> None:
    read = parse(reply({"content": "x"}, usage=usage)).usage
    assert (read.input_tokens, read.output_tokens, read.cached_tokens) == expected


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
token = st.fixed_dictionaries({}, optional=dict.fromkeys(("token", "bytes", "logprob", "top_logprobs"), anything))
wild = st.fixed_dictionaries(
    {
        "choices": st.lists(
            st.fixed_dictionaries(
                {
                    "message": st.fixed_dictionaries(
                        {}, optional=dict.fromkeys(("content", "reasoning_content", "refusal"), anything)
                    )
                },
                optional={
                    "finish_reason": anything,
                    "logprobs": anything | st.fixed_dictionaries({"content": st.lists(token, max_size=3)}),
                },
            ),
            max_size=2,
        )
    },
    optional={
        "model": anything,
        "usage": anything
        | st.fixed_dictionaries({}, optional=dict.fromkeys(("prompt_tokens", "completion_tokens"), anything)),
    },
)


@settings(deadline=None)  # a loaded machine is no failure
@given(wild.map(json.dumps).map(str.encode) | anything.map(json.dumps).map(str.encode) | st.binary())
def test_any_reply_that_was_stored_can_be_judged_and_exported(raw: bytes) -> None:
    teacher = {"base_url": "embedded", "model": "m"}
    step = {"name": "a", "prompt": "a.j2", "verify": {"json_schema": {"type": "object"}}}
    recipe = Recipe.model_validate({"name": "r", "teacher": teacher, "seeds": {"path": "s.jsonl"}, "steps": [step]})
    terms = {"id": "x", "verdict": "allowed", "as_of": "", "basis": None}
    row = StoredRow(
        id=1,
        row_id="r",
        request_key="k",
        request_body=b'{"model": "m", "messages": []}',
        state="answered",
        reason=None,
        step="a",
        split="train",
        position=0,
        seed_id="s",
        seed={"text": "x"},
        seed_text='{"text":"x"}',
        reference=None,
        sample=0,
        reply=StoredReply(raw, 0, "2026-01-01T00:00:00+00:00", "teacher", "p", terms),
        parent=None,
        part=0,
        rules=None,
        outcome=None,
    )
    (lineage,) = lineages(recipe, [row], Rules(recipe))
    assert isinstance(lineage, Lineage)
    table = pa.Table.from_pylist([Columns(recipe).values(lineage)], schema=SCHEMA)
    assert table.num_rows == 1


@pytest.mark.parametrize(
    ("said", "asked", "other"),
    [
        ("toy-1", "toy-1", None),
        ("gpt-4o-2024-08-06", "gpt-4o", None),
        ("gpt-4o-mini", "gpt-4o", "gpt-4o-mini"),
        ("deepseek/deepseek-chat-v3-0324", "deepseek-chat", None),
        ("DeepSeek-Chat", "deepseek-chat", None),
        ("deepseek-chat", "deepseek-chat:latest", None),
        (None, "toy-1", None),
        (7, "toy-1", None),
        ("\x1b[31mred\r\n", "toy-1", "[31mred"),
    ],
)
def test_another_model_is_told_from_a_version_of_the_same(said: Any, asked: str, other: str | None) -> None:
    assert other_model({"model": said}, asked) == other


def test_reasoning_that_only_the_total_counts_is_paid_for() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 2015}
    assert read_usage({"usage": usage}) == Usage(10, 2005)
    assert read_usage({"usage": {**usage, "total_tokens": 3}}) == Usage(10, 5)
