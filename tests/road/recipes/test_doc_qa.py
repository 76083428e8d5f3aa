"""The recipe doc-qa with scripted answers: questions about chunks, and quotations that have to stand in them."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from harvester.seeds import read_seeds

PDF = Path(__file__).parents[2] / "harvester" / "seeds" / "conftest.py"
"""Makes one by hand."""

QUESTIONS = {
    "What bees need": ["What kills bumblebee colonies in March?", "What does a bee need from a garden?"],
    "Ivy is the last": ["Which plant feeds bees in October?", "When should crocuses be planted?"],
    "Single ones": ["unused"],
    "Breeders like": ["Which roses feed bees?", "What do wild bees that nest in the ground want?"],
}
ANSWERS = {
    "What kills": 'The gap in spring: the queen "finds no nectar and starves within two days".',
    "What does a bee": "Food from \u201cearly spring to late autumn\u201d, and a place to live.",
    "Which plant": 'Ivy, "the last great meal of the season".',
    "When should": "The passage does not say when to plant them.",
    "Which roses": "Wild ones.",
    "What do wild": "I'm sorry, but I can't help with that: \"bare, sunny soil that is not dug over\".",
}


def said(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"])


def ask(body: dict[str, Any]) -> str:
    """Two questions about the chunk; about the second one only when asked once more."""
    first = body["messages"][1]["content"]
    words, questions = next(found for found in QUESTIONS.items() if found[0] in first)
    if words == "Ivy is the last" and len(body["messages"]) == 2:
        return "1. " + "\n2. ".join(questions)
    return json.dumps({"questions": [{"question": question} for question in questions]})


def answer(body: dict[str, Any]) -> str:
    question = said(body).rpartition("Question: ")[2]
    return next(text for words, text in ANSWERS.items() if question.startswith(words))


@pytest.fixture
def answered(shipped: Any, provider: Any) -> Any:
    recipe = shipped("doc-qa", provider=provider)
    recipe.answers(ask=ask, answer=answer)
    assert recipe.collect().failed == 0
    return recipe


def test_answers_that_quote_their_chunk_become_rows_and_no_others(answered: Any) -> None:
    assert answered.collect().answered == 0
    assert answered.steps() == {
        "ask": {"rows": 3, "accepted": 2, "dropped": {"output": 1}},
        "ask/repair": {"rows": 1, "accepted": 1, "dropped": {}},
        "answer": {"rows": 6, "accepted": 2, "dropped": {"verify:citations": 3, "verify:refusal": 1}},
    }
    assert answered.export().dropped == {"verify:citations": 3, "verify:refusal": 1}
    rows = answered.rows()
    chunk = next(read_seeds(answered.recipe)).data
    assert [json.loads(row["seed"]) for row in rows] == [
        {**chunk, "question": question} for question in QUESTIONS["What bees need"]
    ]
    assert (chunk["source"], chunk["chunk"], chunk["title"]) == ("documents/bee-garden.md", 1, "A garden for bees")
    assert [row["messages"] for row in rows] == [
        [
            {
                "role": "user",
                "content": f"Passage:\n{chunk['text']}\n\nQuestion: {question}\nAnswer from the passage, and quote it.",
            },
            {"role": "assistant", "content": text},
        ]
        for question, text in zip(QUESTIONS["What bees need"], ANSWERS.values(), strict=False)
    ]
    assert [{check["name"]: check["passed"] for check in row["checks"]} for row in rows] == [
        {"refusal": True, "citations": True, "length": True}
    ] * 2


def test_a_second_attempt_sees_what_was_wrong_and_an_answer_its_chunk(answered: Any, as_golden: Any) -> None:
    (mended,) = [messages for messages in answered.asked("ask") if len(messages) > 2]
    as_golden("doc-qa", "ask-repair", mended)
    (messages,) = [one for one in answered.asked("answer") if "What kills" in one[-1]["content"]]
    as_golden("doc-qa", "answer-asked", messages)


def test_a_question_cannot_take_the_place_of_its_chunk(shipped: Any, provider: Any) -> None:
    recipe = shipped("doc-qa", provider=provider, limit=1)
    planted = {"question": "What is said here?", "text": "something else entirely"}
    recipe.answers(ask=lambda _: json.dumps({"questions": [planted]}), answer=answer)
    recipe.collect()
    assert recipe.steps()["ask/repair"] == {"rows": 1, "accepted": 0, "dropped": {"output": 1}}
    assert "answer" not in recipe.steps()


def test_an_answer_that_goes_on_and_on_is_dropped(shipped: Any, provider: Any) -> None:
    recipe = shipped("doc-qa", provider=provider, limit=1)
    recipe.answers(
        ask=lambda _: '{"questions": [{"question": "What does a bee need?"}]}',
        answer=lambda _: 'It needs "a place to live". ' + "And so on. " * 40,
    )
    recipe.collect()
    assert recipe.steps()["answer"]["dropped"] == {"verify:length": 1}


def test_ones_own_documents_are_read_whatever_their_kind(shipped: Any, provider: Any) -> None:
    recipe = shipped("doc-qa", provider=provider, limit=9)
    documents = recipe.path / "documents"
    for path in documents.iterdir():
        path.unlink()
    (documents / "a.md").write_text("# Rain\n\nRain falls from clouds.", encoding="utf-8")
    (documents / "b.html").write_text("<title>Wind</title><p>Wind blows from high pressure.</p>", encoding="utf-8")
    (documents / "c.txt").write_text("Snow is ice that fell slowly.", encoding="utf-8")
    (documents / "more").mkdir()
    runpy.run_path(str(PDF))["pdf"](documents / "more" / "d.pdf", ["Hail grows in thunderclouds."], "Hail")
    recipe.answers(
        ask=lambda _: '{"questions": [{"question": "What is it?"}]}',
        answer=lambda body: '"' + " ".join(said(body).partition("\n\nQuestion")[0].split()[-3:]) + '"',
    )
    recipe.collect()
    recipe.export()
    found = [(row["messages"][-1]["content"], json.loads(row["seed"])) for row in recipe.rows()]
    assert [(text, seed["source"].rpartition("/")[2], seed["title"]) for text, seed in found] == [
        ('"falls from clouds."', "a.md", "Rain"),
        ('"from high pressure."', "b.html", "Wind"),
        ('"that fell slowly."', "c.txt", None),
        ('"grows in thunderclouds."', "d.pdf", "Hail"),
    ]
