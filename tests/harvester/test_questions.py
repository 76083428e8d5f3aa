"""`ask`: questions of one's own through the one client there is."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from harvester import Options, Recipe, ask, collect, export
from harvester.errors import BadInput, RefusedByTerms, StoppedEarly
from harvester.status import status


def texts(answers: list[Any]) -> list[str | None]:
    return [answer and answer.text for answer in answers]


async def test_answers_come_in_the_order_asked_and_are_parsed(folder: Any, provider: Any) -> None:
    recipe = Recipe.load(folder.path)
    conversation = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "two"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "three"},
    ]
    answers = await ask(recipe, ["one", conversation, "one", "four"])
    assert texts(answers) == ["answer to one", "answer to three", "answer to one", "answer to four"]
    assert answers[0] is not None
    assert (answers[0].status, answers[0].model, answers[0].usage.output_tokens) == ("ok", "toy-1", 5)
    sent = sorted(provider.asked, key=lambda body: len(body["messages"]))
    assert len(sent) == 3
    assert sent[-1] == {"model": "toy-1", "messages": conversation, "temperature": 0.5, "max_tokens": 50}


async def test_what_was_asked_before_costs_nothing(folder: Any, provider: Any) -> None:
    recipe = Recipe.load(folder.path)
    await ask(recipe, ["one", "two"])
    assert texts(await ask(recipe, ["two", "one"])) == ["answer to two", "answer to one"]
    assert len(provider.asked) == 2
    assert texts(await ask(recipe, ["three", "one"])) == ["answer to three", "answer to one"]
    assert texts(await ask(recipe, ["one", "two"])) == ["answer to one", "answer to two"]
    assert len(provider.asked) == 3


async def test_questions_stay_out_of_the_collected_dataset(folder: Any, provider: Any, tmp_path: Path) -> None:
    folder.write("answer.json", json.dumps({"type": "object"}))
    folder.data["steps"][0]["verify"] = {"json_schema": "answer.json"}
    folder.save()
    provider.answer = lambda _: "{}"
    recipe = Recipe.load(folder.path)
    before = await collect(recipe)
    await ask(recipe, ["mine"])
    assert export(recipe, tmp_path / "out").rows == {"train": 10}
    assert status(recipe)["requests"] == {"answered": 10}
    after = await collect(recipe)
    assert (before.sent, after.sent) == (10, 0)


async def test_a_question_that_collect_asked_already_is_not_asked_again(folder: Any, provider: Any) -> None:
    recipe = Recipe.load(folder.path)
    await collect(recipe)
    assert texts(await ask(recipe, ["Say something about:\nseed 3"])) == ["answer to seed 3"]
    assert len(provider.asked) == 10


async def test_a_refused_question_is_none_and_the_others_are_answered(folder: Any, provider: Any) -> None:
    provider.script = lambda body, _: (
        (400, {}, b'{"error": {"message": "no"}}') if body["messages"][0]["content"] == "bad" else None
    )
    assert texts(await ask(Recipe.load(folder.path), ["bad", "good"])) == [None, "answer to good"]


async def test_a_limit_leaves_the_rest_without_an_answer(folder: Any) -> None:
    recipe = Recipe.load(folder.path)
    assert texts(await ask(recipe, ["one", "two"], options=Options(limit=1))) == ["answer to one", None]
    assert texts(await ask(recipe, ["one", "two"])) == ["answer to one", "answer to two"]


async def test_questions_stay_within_the_budget(folder: Any, provider: Any) -> None:
    folder.data["teacher"]["price"] = {"input": 1000, "output": 1000}
    folder.save()
    with pytest.raises(StoppedEarly, match="budget"):
        await ask(Recipe.load(folder.path), ["one"], options=Options(budget_usd=Decimal("0.01")))
    assert provider.asked == []


async def test_questions_are_refused_by_terms_before_the_store_is_made(folder: Any, provider: Any) -> None:
    folder.data["terms"] = {}
    folder.save()
    with pytest.raises(RefusedByTerms):
        await ask(Recipe.load(folder.path), ["one"])
    assert provider.asked == []
    assert not (folder.path / "harvest.db").exists()


async def test_nothing_asked_needs_no_store(folder: Any) -> None:
    assert await ask(Recipe.load(folder.path), []) == []
    assert not (folder.path / "harvest.db").exists()


@pytest.mark.parametrize(
    ("prompts", "says"),
    [
        ("one text", "prompts: is one text; give a list"),
        ([""], "prompts.0: is empty"),
        (["a", []], "prompts.1: is empty"),
        ([7], "prompts.0: is neither a text nor a list"),
        ([None], "prompts.0: is neither a text nor a list"),
        ([["text"]], "prompts.0.0: is not a message"),
        ([[{"role": "user"}]], "prompts.0.0: is not a message"),
        ([[{"role": "user", "content": "a", "name": "b"}]], "prompts.0.0: is not a message"),
        ([[{"role": "tool", "content": "a"}]], "prompts.0.0.role: 'tool' is none of system, user, assistant"),
        ([[{"role": ["user"], "content": "a"}]], "prompts.0.0.role"),
        ([[{"role": "user", "content": None}]], "prompts.0.0.content: is not text"),
        (["half \ud800"], "prompts.0.0.content: holds half of a surrogate pair"),
    ],
)
async def test_a_prompt_that_is_none(folder: Any, provider: Any, prompts: Any, says: str) -> None:
    with pytest.raises(BadInput) as error:
        await ask(Recipe.load(folder.path), prompts)
    assert says in str(error.value)
    assert provider.asked == []
