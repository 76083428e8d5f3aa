"""Log probabilities from the recipe to the dataset: asked for, refused, joined, missing, and with which bytes."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.cli import texts
from harvester.collecting import Options, collect
from harvester.errors import BadInput
from harvester.exporting import export
from harvester.logprobs import asked, lacking, read
from harvester.parsing import parse
from harvester.profiles import profiles
from harvester.prompting import sampling_fields
from harvester.recipe import Recipe, Teacher
from harvester.status import status

from provider import Provider  # isort: skip - helpers beside the tests
from streams import DONE, USAGE, chunk, event, usage_chunk  # isort: skip

SPARROW, ACUTE = "\N{BIRD}", "\N{LATIN SMALL LETTER E WITH ACUTE}"


def entry(token: str, raw: bytes | None = None, **more: Any) -> dict[str, Any]:
    """A token as OpenAI lists it; `raw` are other bytes than its text's."""
    return {"token": token, "bytes": list(token.encode() if raw is None else raw), "logprob": -0.5, **more}


def listed(*tokens: dict[str, Any], count: int = 2) -> list[dict[str, Any]]:
    return [{**token, "top_logprobs": [entry(f"t{place}") for place in range(count)]} for token in tokens]


def reply(content: str, logprobs: Any) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"content": content}, "logprobs": logprobs}
    return json.dumps({"model": "toy-1", "choices": [choice], "usage": USAGE}).encode()


def ask_for(folder: Any, number: int, **teacher: Any) -> Recipe:
    folder.data["teacher"] |= teacher
    folder.data["teacher"]["sampling"]["logprobs"] = number
    folder.save()
    return Recipe.load(folder.path)


def rows_of(recipe: Recipe, out: Path) -> list[dict[str, Any]]:
    export(recipe, out)
    found: list[dict[str, Any]] = pq.read_table(next(out.glob("data/train-*"))).to_pylist()
    return found


# --- what is asked, and of whom


@pytest.mark.parametrize("provider_id", [one.id for one in profiles().values() if one.logprobs])
def test_every_provider_is_asked_for_as_many_as_it_gives(folder: Any, provider: Provider, provider_id: str) -> None:
    most = profiles()[provider_id].logprobs
    recipe = ask_for(folder, most, provider=provider_id, stream=False)
    asyncio.run(collect(recipe, None, Options(limit=1)))
    (body,) = provider.asked
    as_number = {"logprobs": most}
    assert {name: body[name] for name in body if "logprobs" in name} == (
        as_number if provider_id == "together" else {"logprobs": True, "top_logprobs": most}
    )
    assert asked(json.dumps(body, separators=(",", ":")).encode()) == most
    with pytest.raises(BadInput, match=rf"recipe\.yaml: teacher(\.|: )sampling\.logprobs: .*{most}"):
        ask_for(folder, most + 1)


@pytest.mark.parametrize(
    ("teacher", "number", "says"),
    [
        ({"provider": "mistral"}, 5, "mistral gives no logprobs; leave it out"),
        ({"provider": "mistral"}, 0, "mistral gives no logprobs; leave it out"),
        ({"provider": "anthropic"}, 1, "anthropic gives no logprobs; leave it out"),
        ({"provider": "llama.cpp"}, 0, "llama.cpp gives no logprobs for 0; state at least 1, or leave it out"),
        ({"model": "o3-mini"}, 1, "o3-mini gives no logprobs; leave it out, or ask another model"),
        ({"model": "openai/GPT-5-mini"}, 1, "openai/GPT-5-mini gives no logprobs"),
        ({"model": "gpt-5-2025-08-07"}, 1, "gpt-5-2025-08-07 gives no logprobs"),
        ({"model": "anthropic/claude-opus-5"}, 1, "anthropic/claude-opus-5 gives no logprobs"),
        ({"model": "deepseek-reasoner"}, 1, "deepseek-reasoner gives no logprobs"),
    ],
)
def test_who_has_none_is_refused_before_the_first_request(
    folder: Any, provider: Provider, harvester: Any, teacher: dict[str, Any], number: int, says: str
) -> None:
    folder.data["teacher"] |= teacher
    folder.data["teacher"]["sampling"]["logprobs"] = number
    folder.save()
    for command in ("check", "collect"):
        code, _, err = harvester(command, folder.path)
        assert code == 2
        (line,) = err.splitlines()
        assert f"recipe.yaml: teacher: sampling.logprobs: {says}" in line
    assert provider.asked == []


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5-chat-latest", "gpt-5.1", "gpt-oss-120b", "olmo-3", "deepseek-chat"])
def test_models_that_give_them_pass(folder: Any, model: str) -> None:
    assert ask_for(folder, 20, model=model).teacher.sampling.logprobs == 20


def test_a_steps_own_sampling_is_bounded_as_the_teachers_is(folder: Any) -> None:
    folder.data["teacher"]["provider"] = "fireworks"
    folder.data["steps"][0]["sampling"] = {"logprobs": 20}
    folder.save()
    with pytest.raises(BadInput, match=r"steps\.0\.sampling.logprobs: fireworks gives at most 5 logprobs; lower it"):
        Recipe.load(folder.path)


def test_what_is_left_out_is_not_asked_for(folder: Any) -> None:
    fields = sampling_fields(Recipe.load(folder.path).teacher)
    assert not {"logprobs", "top_logprobs"} & set(fields)
    assert asked(b'{"messages":[{"content":"\\"logprobs\\":true"}],"model":"m"}') is None
    assert asked(b'{"response_format":{"logprobs":true},"model":"m"}') is None


# --- what comes


def test_the_chunks_of_a_stream_are_joined(folder: Any, provider: Provider, tmp_path: Path) -> None:
    bird = SPARROW.encode()
    tokens = listed(entry("A"), entry("\\xf0\\x9f", bird[:2]), entry("\\x90\\xa6", bird[2:]), entry("", b"", id=2))
    texts_of = ["A", "", SPARROW, ""]
    chunks = [chunk({"content": ""}, logprobs=None)]
    chunks += [
        chunk({"content": text}, logprobs={"content": [token]}) for text, token in zip(texts_of, tokens, strict=True)
    ]
    raw = b"".join(map(event, [*chunks, chunk({}, "stop"), usage_chunk(USAGE)])) + DONE
    provider.script = lambda *_: (200, {}, raw)
    recipe = ask_for(folder, 2, stream=True)
    assert asyncio.run(collect(recipe)).lacking_logprobs == 0
    for row in rows_of(recipe, tmp_path / "out"):
        assert b"".join(token["bytes"] for token in row["logprobs"]) == b"A" + bird
        assert [token["bytes"] for token in row["logprobs"]] == [b"A", bird[:2], bird[2:], b""]
        assert {tuple(token["top"]["bytes"]) for token in row["logprobs"]} == {(b"t0", b"t1")}


@pytest.mark.parametrize(
    "logprobs",
    [None, {}, {"content": None}, {"content": []}, {"content": "x"}, {"content": listed(entry("a"), count=0)}, [1]],
)
def test_answers_without_them_are_kept_counted_and_said_aloud(
    folder: Any, provider: Provider, tmp_path: Path, logprobs: Any
) -> None:
    good = reply("fine", {"content": listed(entry("fine"))})
    provider.script = lambda body, _: (200, {}, reply("bare", logprobs) if "seed 3" in json.dumps(body) else good)
    recipe, said = ask_for(folder, 2), list[str]()
    progress = asyncio.run(collect(recipe, None, Options(say=said.append)))
    assert (progress.answered, progress.accepted, progress.lacking_logprobs) == (10, 10, 1)
    assert [line for line in said if "without the logprobs that were asked for" in line] == said[-1:]
    now = status(recipe)
    assert now["lacking_logprobs"] == 1
    assert "  1 replies lack the logprobs that were asked for" in texts.status(now)
    assert sum(row["logprobs"] is None or not any(one["top"]["bytes"] for one in row["logprobs"])
               for row in rows_of(recipe, tmp_path / "out")) == 1  # fmt: skip


def test_of_many_answers_without_them_one_is_said_aloud(folder: Any) -> None:
    recipe, said = ask_for(folder, 2), list[str]()
    assert asyncio.run(collect(recipe, None, Options(say=said.append))).lacking_logprobs == 10
    assert sum("without the logprobs" in line for line in said) == 1


def test_nobody_misses_what_was_not_asked_for(folder: Any) -> None:
    recipe = Recipe.load(folder.path)
    assert asyncio.run(collect(recipe)).lacking_logprobs == 0
    assert "logprobs" not in texts.status(status(recipe))


def test_an_answer_that_says_nothing_lacks_nothing(folder: Any, provider: Provider) -> None:
    provider.script = lambda *_: (200, {}, reply("", None))
    assert asyncio.run(collect(ask_for(folder, 2))).lacking_logprobs == 0


def test_the_mark_is_of_the_plan_that_is_looked_at(folder: Any) -> None:
    recipe = ask_for(folder, 2)
    asyncio.run(collect(recipe))
    folder.data["teacher"]["sampling"].pop("logprobs")
    folder.save()
    asked_without = Recipe.load(folder.path)
    asyncio.run(collect(asked_without))
    assert status(asked_without)["lacking_logprobs"] == 0
    with sqlite3.connect(folder.path / "harvest.db") as connection:
        assert connection.execute("SELECT count(*) FROM replies WHERE lacks_logprobs").fetchone() == (10,)


def test_the_older_form_of_lists_is_read(folder: Any, provider: Provider, tmp_path: Path) -> None:
    logprobs = {"tokens": ["Hi", "\N{REPLACEMENT CHARACTER}"], "token_logprobs": [-0.25, -1.0],
                "top_logprobs": [{"Hi": -0.25, "Ho": -2.0}, {"x": -1.5}]}  # fmt: skip
    provider.script = lambda *_: (200, {}, reply("Hi!", logprobs))
    recipe = ask_for(folder, 2, provider="together")
    assert asyncio.run(collect(recipe)).lacking_logprobs == 0
    assert rows_of(recipe, tmp_path / "out")[0]["logprobs"] == [
        {"bytes": b"Hi", "logprob": -0.25, "top": {"bytes": [b"Hi", b"Ho"], "logprob": [-0.25, -2.0]}},
        {"bytes": None, "logprob": -1.0, "top": {"bytes": [b"x"], "logprob": [-1.5]}},
    ]


def test_the_older_form_without_a_list_lacks_what_was_asked_for() -> None:
    bare = json.loads(reply("Hi", {"tokens": ["Hi"], "token_logprobs": [-0.25]}))
    assert lacking(b'{"logprobs":2}', bare)
    assert not lacking(b'{"logprobs":0}', bare)


# --- whose bytes


def bytes_of(*tokens: dict[str, Any]) -> list[bytes | None]:
    """The bytes of tokens, and the same of what is listed at the place of each."""
    found = read([{**token, "top_logprobs": [token]} for token in tokens])
    assert found is not None
    assert [token["top"]["bytes"][0] for token in found][:1] == [token["bytes"] for token in found][:1]
    return [token["bytes"] for token in found]


BIRD = SPARROW.encode()
UNRANKED = -9999.0
UNKNOWN = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("tokens", "known"),
    [
        ([entry("a", BIRD[:1]), entry("b", BIRD[1:])], [BIRD[:1], BIRD[1:]]),  # as the API gave them
        ([{"token": ACUTE, "logprob": -1}], [ACUTE.encode()]),
        ([{"token": "x", "bytes": None, "logprob": -1}], [b"x"]),
        ([{"token": UNKNOWN, "logprob": -1}], [None]),
        ([entry(UNKNOWN)], [None]),  # Ollama, older vLLM: bytes of the stand-in
        ([entry(UNKNOWN, BIRD[:2])], [BIRD[:2]]),  # the text is a stand-in, the bytes are not
        ([entry(" " + UNKNOWN)], [None]),
        ([{"token": "\\xf0\\x9f", "logprob": -1}, {"token": "<0xE2>", "logprob": -1}], [None, None]),
        ([{"token": "bytes:\\xf0", "logprob": -1}], [None]),
        ([entry("\\xf0", b"\xf0")], [b"\xf0"]),  # DeepSeek
        ([{"token": "\ud83d", "logprob": -1}], [None]),
        ([entry("", id=2)], [b""]),  # llama.cpp's end
        ([entry(""), entry(""), entry(SPARROW), entry(SPARROW)], [None, None, None, BIRD]),  # newer vLLM
        ([entry(""), entry("x")], [None, b"x"]),
    ],
)  # fmt: skip
def test_bytes_that_cannot_be_the_tokens_own_are_unknown(tokens: Any, known: Any) -> None:
    assert bytes_of(*tokens) == known


@given(st.text(min_size=1).filter(lambda text: UNKNOWN not in text and not text.startswith(("\\x", "bytes:", "<0x"))))
def test_any_text_without_bytes_is_its_utf_8_or_unknown(text: str) -> None:
    (found,) = bytes_of({"token": text, "logprob": 0})
    try:
        assert found == text.encode()
    except UnicodeEncodeError:
        assert found is None


# --- what is no logarithm of a probability

NONE = [float("nan"), float("inf"), -float("inf"), 0.0011, 3, 1e300, -1e300, -3.4028235e38, -9999.5]


@pytest.mark.parametrize("logprob", NONE)
def test_what_is_no_logprob_does_not_reach_the_dataset(logprob: float) -> None:
    good, bad = entry("a"), entry("b") | {"logprob": logprob}
    assert read([bad | {"top_logprobs": [bad, good, bad]}, good]) == [
        {"bytes": b"b", "logprob": UNRANKED, "top": {"bytes": [b"a"], "logprob": [-0.5]}},
        {"bytes": b"a", "logprob": -0.5, "top": {"bytes": [], "logprob": []}},
    ]


@pytest.mark.parametrize("logprob", [0, -0.0, 0.001, -100.5, UNRANKED])
def test_what_an_api_means_as_a_logprob_stays_as_it_is(logprob: float) -> None:
    token = entry("a") | {"logprob": logprob}
    assert read([token | {"top_logprobs": [token]}]) == [
        {"bytes": b"a", "logprob": logprob, "top": {"bytes": [b"a"], "logprob": [logprob]}}
    ]


def test_a_reply_with_such_logprobs_is_exported(folder: Any, provider: Provider, tmp_path: Path) -> None:
    none = [entry("t") | {"logprob": logprob} for logprob in NONE]
    said = [entry("fine") | {"logprob": float("nan"), "top_logprobs": [*none, entry("so")]}]
    provider.script = lambda *_: (200, {}, reply("fine", {"content": said}))
    recipe = ask_for(folder, 2)
    asyncio.run(collect(recipe))
    for row in rows_of(recipe, tmp_path / "out"):
        assert row["logprobs"] == [
            {"bytes": b"fine", "logprob": UNRANKED, "top": {"bytes": [b"so"], "logprob": [-0.5]}}
        ]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("tokens", "token_logprobs", "top_logprobs", "content"), anything))
)
def test_whatever_stands_for_logprobs_breaks_nothing(logprobs: Any) -> None:
    raw = json.dumps(json.loads(reply("a", logprobs))).encode()
    for token in read(parse(raw).logprobs) or []:
        assert len(token["top"]["bytes"]) == len(token["top"]["logprob"])
        assert all(UNRANKED <= logprob <= 0.001 for logprob in (token["logprob"], *token["top"]["logprob"]))
    assert lacking(b'{"logprobs":true,"top_logprobs":1}', json.loads(raw)) in (True, False)


@pytest.mark.parametrize("logprobs", [{"tokens": [], "token_logprobs": None}, {"tokens": ["a"], "token_logprobs": "a"}])
def test_an_odd_older_form_is_no_list(logprobs: Any) -> None:
    assert not parse(reply("a", logprobs)).logprobs


def test_a_teacher_made_in_python_is_bounded_too() -> None:
    with pytest.raises(ValueError, match="fireworks gives at most 5"):
        Teacher.model_validate({"base_url": "https://api.fireworks.ai/inference/v1", "model": "m",
                                "sampling": {"logprobs": 6}})  # fmt: skip
