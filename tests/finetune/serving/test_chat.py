# ruff: noqa: N806 - shape suffixes

import asyncio

import pytest
import torch
from clients import Script, logits
from openai import AsyncOpenAI

from finetune.generation import greedy
from finetune.serving.served import Served

QUESTIONS = ["a", "what is " + "x" * 30, "tell me " * 5]


async def ask(openai: AsyncOpenAI, words: str, **more: object):  # type: ignore[no-untyped-def]  # noqa: ANN201
    fields = {"temperature": 0, "max_tokens": 12} | more
    return await openai.chat.completions.create(  # type: ignore[call-overload]
        model="tiny", messages=[{"role": "user", "content": words}], **fields
    )


def plain_answer(served: Served, words: str, most: int = 12) -> str:
    assert served.renderer
    ids = served.renderer.prompt_ids([{"role": "user", "content": words}])
    return greedy(served.model, served.base, served.renderer, [ids], max_new_tokens=most)[0].text


@pytest.mark.parametrize("words", QUESTIONS)
async def test_at_temperature_0_it_answers_as_generate_does(openai: AsyncOpenAI, served: Served, words: str) -> None:
    reply = await ask(openai, words)
    assert reply.choices[0].message.content == plain_answer(served, words)
    assert reply.choices[0].finish_reason == "length"
    assert reply.model == "tiny"
    assert (reply.usage.completion_tokens, reply.object) == (12, "chat.completion")


async def test_those_who_ask_at_once_get_what_they_would_get_alone(openai: AsyncOpenAI, served: Served) -> None:
    together = await asyncio.gather(*[ask(openai, words) for words in QUESTIONS])
    assert [reply.choices[0].message.content for reply in together] == [plain_answer(served, one) for one in QUESTIONS]


async def test_log_probabilities_are_those_of_the_model(openai: AsyncOpenAI, served: Served) -> None:
    reply = await ask(openai, "a", logprobs=True, top_logprobs=20, extra_body={"return_token_ids": True})
    prompt, answer = reply.prompt_token_ids, reply.choices[0].token_ids
    entries = reply.choices[0].logprobs.content
    assert len(entries) == len(answer) == 12
    logp_TV = torch.log_softmax(logits(served, [*prompt, *answer]), dim=-1)[len(prompt) - 1 : -1]
    for entry, token, logp_V in zip(entries, answer, logp_TV, strict=True):
        best = logp_V.topk(20)
        assert entry.logprob == pytest.approx(float(logp_V[token]), abs=1e-4)
        assert [one.logprob for one in entry.top_logprobs] == pytest.approx(best.values.tolist(), abs=1e-4)
        assert [bytes(one.bytes) for one in entry.top_logprobs] == [served.spell(one) for one in best.indices.tolist()]
    assert b"".join(bytes(entry.bytes) for entry in entries) == b"".join(map(served.spell, answer))


async def test_a_token_beyond_the_likeliest_stands_beside_them_not_among_them(openai: AsyncOpenAI) -> None:
    reply = await ask(openai, "a", temperature=1.7, seed=3, logprobs=True, top_logprobs=2)
    entries = reply.choices[0].logprobs.content
    assert all(len(entry.top_logprobs) == 2 for entry in entries)
    assert any(entry.logprob < entry.top_logprobs[-1].logprob for entry in entries)


async def test_log_probabilities_do_not_feel_the_sampling(openai: AsyncOpenAI, served: Served) -> None:
    reply = await ask(
        openai, "a", temperature=1.7, seed=3, logprobs=True, top_logprobs=2, extra_body={"return_token_ids": True}
    )
    prompt, answer = reply.prompt_token_ids, reply.choices[0].token_ids
    logp_TV = torch.log_softmax(logits(served, [*prompt, *answer]), dim=-1)[len(prompt) - 1 : -1]
    expected = [float(logp_V[token]) for logp_V, token in zip(logp_TV, answer, strict=True)]
    assert [entry.logprob for entry in reply.choices[0].logprobs.content] == pytest.approx(expected, abs=1e-4)


async def test_without_being_asked_for_there_are_none(openai: AsyncOpenAI) -> None:
    assert (await ask(openai, "a")).choices[0].logprobs is None
    entries = (await ask(openai, "a", logprobs=True)).choices[0].logprobs.content
    assert [entry.top_logprobs for entry in entries] == [[]] * 12


async def test_a_seed_gives_the_same_answer_and_another_seed_another(openai: AsyncOpenAI) -> None:
    one, same, other = [(await ask(openai, "a", temperature=1.5, seed=seed)).choices[0] for seed in (1, 1, 2)]
    assert one.message.content == same.message.content != other.message.content


async def test_the_choices_of_a_request_differ_and_the_first_is_that_of_one(openai: AsyncOpenAI) -> None:
    reply = await ask(openai, "a", temperature=1.5, seed=1, n=3)
    texts = [choice.message.content for choice in reply.choices]
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    assert len(set(texts)) == 3
    assert texts[0] == (await ask(openai, "a", temperature=1.5, seed=1)).choices[0].message.content
    assert reply.usage.completion_tokens == 36


@pytest.mark.parametrize("filters", [{"top_k": 1}, {"min_p": 1.0}])
async def test_filters_that_leave_one_token_are_greedy(
    openai: AsyncOpenAI, served: Served, filters: dict[str, float]
) -> None:
    reply = await ask(openai, "a", temperature=2, extra_body=filters)
    assert reply.choices[0].message.content == plain_answer(served, "a")
    assert (await ask(openai, "a", temperature=2, top_p=0)).choices[0].message.content == plain_answer(served, "a")


async def test_a_stop_ends_the_answer_before_it(openai: AsyncOpenAI, served: Served) -> None:
    whole = plain_answer(served, "a")
    stop = whole[4:7]
    reply = await ask(openai, "a", stop=[stop, "never said"], logprobs=True)
    assert reply.choices[0].message.content == whole[: whole.index(stop)]
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.completion_tokens < 12


async def test_a_special_token_can_be_a_stop(
    openai: AsyncOpenAI, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no text in the answer, in which it would be looked for in vain."""
    start = served.base.tokenizer.bos_token_id
    monkeypatch.setattr(type(served), "head", Script(served, [70, start, 71, 72]))
    reply = await ask(openai, "a", stop=["<|im_start|>", "x"], extra_body={"return_token_ids": True})
    assert reply.choices[0].token_ids == [70, start]
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == (served.text_of([70]), "stop")


async def test_the_end_of_turn_is_listed_and_not_said(
    openai: AsyncOpenAI, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = served.base.stop_ids[0]
    monkeypatch.setattr(type(served), "head", Script(served, [70, 71, end, 72]))
    reply = await ask(openai, "a", logprobs=True, extra_body={"return_token_ids": True})
    [choice] = reply.choices
    assert choice.token_ids == [70, 71, end]
    assert [entry.token for entry in choice.logprobs.content][-1] == "<|im_end|>"
    assert (choice.message.content, choice.finish_reason) == (served.text_of([70, 71]), "stop")
    assert reply.usage.completion_tokens == 3


async def test_a_thought_that_is_closed_stands_apart_from_what_is_said(
    openai: AsyncOpenAI, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = served.base.tokenizer("<think>\nhm</think>\n\nyes")["input_ids"]
    monkeypatch.setattr(type(served), "head", Script(served, [*said, served.base.stop_ids[0]]))
    message = (await ask(openai, "a", max_tokens=40)).choices[0].message
    assert (message.reasoning_content, message.content) == ("\nhm", "yes")
    assert served.renderer
    assert served.renderer.spoken("<think>\nhm</think>\n\nyes") == "yes"


async def test_both_names_of_the_bound_hold_and_the_context_bounds_what_has_none(
    openai: AsyncOpenAI, served: Served
) -> None:
    assert (await ask(openai, "a", max_tokens=None, max_completion_tokens=3)).usage.completion_tokens == 3
    free = await ask(openai, "a" * 470, max_tokens=None)
    assert free.choices[0].finish_reason == "length"
    assert free.usage.total_tokens == served.context


async def test_content_may_come_in_parts(openai: AsyncOpenAI) -> None:
    parts = [{"type": "text", "text": "what "}, {"type": "text", "text": "now"}]
    reply = await openai.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": parts}],  # type: ignore[list-item,typeddict-item]
        temperature=0,
        max_tokens=12,
    )
    assert reply.choices[0].message.content == (await ask(openai, "what now")).choices[0].message.content
