# ruff: noqa: N806 - shape suffixes

import json
from typing import Any

import httpx
import pytest
import torch
from clients import logits
from openai import AsyncOpenAI

from finetune.serving import prompts
from finetune.serving.served import Served

IDS = [258, 70, 71, 72, 5, 9, 70, 200]


async def complete(http: httpx.AsyncClient, prompt: object, **more: object) -> list[dict[str, Any]]:
    body = {"model": "tiny", "prompt": prompt, "temperature": 0, "max_tokens": 5} | more
    reply = await http.post("/v1/completions", json=body)
    assert reply.status_code == 200, reply.text
    return list(reply.json()["choices"])


def ids_of(served: Served, text: str) -> list[int]:
    return list(served.base.tokenizer(text)["input_ids"])


async def test_a_text_its_ids_and_a_list_of_either_are_one_question(http: httpx.AsyncClient, served: Served) -> None:
    [text] = await complete(http, "so it is")
    [ids] = await complete(http, ids_of(served, "so it is"))
    texts = await complete(http, ["other", "so it is"])
    lists = await complete(http, [ids_of(served, "other"), ids_of(served, "so it is")])
    assert text["text"] == ids["text"] == texts[1]["text"] == lists[1]["text"]
    assert texts[0]["text"] == lists[0]["text"] != text["text"]
    assert [one["index"] for one in texts] == [0, 1]


@pytest.mark.parametrize("top", [0, 3, 20])
async def test_prompt_logprobs_are_those_of_a_plain_forward_pass(
    http: httpx.AsyncClient, served: Served, top: int
) -> None:
    [choice] = await complete(http, IDS, max_tokens=1, prompt_logprobs=top)
    logp_TV = torch.log_softmax(logits(served, IDS), dim=-1)
    first, *rest = choice["prompt_logprobs"]
    assert first is None
    assert len(rest) == len(IDS) - 1
    for logp_V, token, found in zip(logp_TV, IDS[1:], rest, strict=False):
        best = logp_V.topk(top).indices.tolist()
        assert [int(one) for one in found] == best + [token] * (token not in best)
        for one, entry in found.items():
            assert entry["logprob"] == pytest.approx(float(logp_V[int(one)]), abs=1e-4)
            assert entry["rank"] == int((logp_V > logp_V[int(one)]).sum()) + 1
    assert rest[0]["70"]["decoded_token"] == served.spell(70).decode()


async def test_prompts_of_other_lengths_beside_it_change_no_score(http: httpx.AsyncClient) -> None:
    [alone] = await complete(http, IDS, max_tokens=0, prompt_logprobs=2)
    beside = await complete(http, [IDS * 5, IDS, [7]], max_tokens=0, prompt_logprobs=2)
    for one, other in zip(alone["prompt_logprobs"][1:], beside[1]["prompt_logprobs"][1:], strict=True):
        assert {token: entry["logprob"] for token, entry in other.items()} == pytest.approx(
            {token: entry["logprob"] for token, entry in one.items()}, abs=1e-4
        )
    assert beside[2]["prompt_logprobs"] == [None]


async def test_without_tokens_to_say_it_only_scores(http: httpx.AsyncClient) -> None:
    reply = await http.post(
        "/v1/completions", json={"model": "tiny", "prompt": IDS, "max_tokens": 0, "prompt_logprobs": 0}
    )
    [choice] = reply.json()["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("", "length")
    assert reply.json()["usage"] == {"prompt_tokens": 8, "completion_tokens": 0, "total_tokens": 8}


async def test_more_scores_than_memory_is_meant_for_are_refused(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompts, "MOST_SCORED", 2 * len(IDS) * 3)
    await complete(http, [IDS, IDS], max_tokens=0, prompt_logprobs=2)
    for more in ({"prompt": [IDS, IDS, IDS]}, {"prompt_logprobs": 3}, {"n": 2}):
        body = {"model": "tiny", "prompt": [IDS, IDS], "max_tokens": 0, "prompt_logprobs": 2} | more
        reply = await http.post("/v1/completions", json=body)
        assert reply.status_code == 400
        assert reply.json()["error"]["param"] == "prompt_logprobs"


async def test_ids_are_the_model_s_as_they_were_sent(http: httpx.AsyncClient) -> None:
    [choice] = await complete(http, IDS, return_token_ids=True, logprobs=0)
    assert choice["prompt_token_ids"] == IDS
    assert len(choice["token_ids"]) == len(choice["logprobs"]["tokens"]) == 5


async def test_logprobs_have_openai_s_old_form(openai: AsyncOpenAI, served: Served) -> None:
    reply = await openai.completions.create(
        model="tiny",
        prompt="so it is",
        temperature=0,
        max_tokens=6,
        logprobs=3,
        extra_body={"return_token_ids": True},
    )
    found, choice = reply.choices[0].logprobs, reply.choices[0]
    assert found
    assert found.tokens
    assert found.token_logprobs
    assert found.top_logprobs
    assert found.text_offset
    ids, answer = ids_of(served, "so it is"), choice.token_ids  # type: ignore[attr-defined]
    logp_TV = torch.log_softmax(logits(served, [*ids, *answer]), dim=-1)[len(ids) - 1 : -1]
    for place, logp_V in enumerate(logp_TV):
        best = logp_V.topk(3)
        assert found.token_logprobs[place] == pytest.approx(float(logp_V[answer[place]]), abs=1e-4)
        assert list(found.top_logprobs[place].values()) == pytest.approx(best.values.tolist(), abs=1e-4)
    assert found.text_offset == sorted(found.text_offset)
    assert found.text_offset[0] == 0
    assert all(offset <= len(choice.text) for offset in found.text_offset)


async def test_the_sampled_token_is_listed_last_where_it_is_not_among_the_likeliest(
    http: httpx.AsyncClient, served: Served
) -> None:
    prompt, beyond = ids_of(served, "so it is"), 0
    for top in (0, 1, 3):
        [choice] = await complete(http, prompt, temperature=2, seed=3, logprobs=top, return_token_ids=True)
        found, answer = choice["logprobs"], choice["token_ids"]
        logp_TV = torch.log_softmax(logits(served, [*prompt, *answer]), dim=-1)[len(prompt) - 1 : -1]
        for token, logprob, listed, logp_V in zip(
            answer, found["token_logprobs"], found["top_logprobs"], logp_TV, strict=True
        ):
            best = logp_V.topk(top)
            outside = token not in best.indices.tolist()
            own = [float(logp_V[token])] if outside else []
            assert list(listed.values()) == pytest.approx([*best.values.tolist(), *own], abs=1e-4)
            assert not outside or [*listed.values()][-1] == logprob
            beyond += top and outside
    assert beyond  # the seed draws what is not listed, too


async def test_every_prompt_has_its_choices_side_by_side(http: httpx.AsyncClient) -> None:
    choices = await complete(http, ["so it is", "other"], n=2, temperature=1.5, seed=4)
    alone = [
        *await complete(http, "so it is", n=2, temperature=1.5, seed=4),
        *await complete(http, "other", n=2, temperature=1.5, seed=4),
    ]
    assert [one["text"] for one in choices] == [one["text"] for one in alone]


async def test_tokenize_and_detokenize_undo_each_other(http: httpx.AsyncClient, served: Served) -> None:
    text = "Grüße 😀\n\n<|im_end|>"
    cut = (await http.post("/tokenize", json={"prompt": text, "return_token_strs": True})).json()
    assert cut["tokens"] == ids_of(served, text)
    assert (cut["count"], cut["max_model_len"]) == (len(cut["tokens"]), served.context)
    assert cut["token_strs"][:3] == ["G", "r", "\\xc3"]
    assert (await http.post("/detokenize", json={"tokens": cut["tokens"]})).json() == {"prompt": text}


async def test_tokenize_renders_a_conversation_as_the_model_is_asked(http: httpx.AsyncClient, served: Served) -> None:
    assert served.renderer
    turns = [{"role": "user", "content": "a"}]
    opened = (await http.post("/tokenize", json={"messages": turns})).json()["tokens"]
    closed = (await http.post("/tokenize", json={"messages": turns, "add_generation_prompt": False})).json()["tokens"]
    assert opened == list(served.renderer.prompt_ids(turns))
    assert opened[: len(closed)] == closed
    assert served.base.tokenizer.decode(opened[len(closed) :]) == "<|im_start|>assistant\n"


async def test_an_infinite_log_probability_is_written_as_a_number(
    http: httpx.AsyncClient, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = served.head.weight
    masked = torch.nn.Linear(weight.shape[1], weight.shape[0])
    masked.weight = weight
    masked.bias = torch.nn.Parameter(torch.zeros(weight.shape[0]).index_fill(0, torch.tensor([70]), float("-inf")))
    monkeypatch.setattr(type(served), "head", masked)
    [choice] = await complete(http, [5, 70], max_tokens=0, prompt_logprobs=0)
    assert json.dumps(choice["prompt_logprobs"][1]["70"]["logprob"]) == "-9999.0"
