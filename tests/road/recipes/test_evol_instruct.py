"""The recipe evol-instruct with scripted answers: what counts as evolved, and that nothing else is answered."""

import json
from typing import Any

import pytest

from harvester.errors import BadInput
from harvester.estimating import estimate
from harvester.judging import Rules
from harvester.records import Answer

EVOLVED = {
    "refrigerator": [
        "Here is the rewritten prompt: explain a refrigerator in 50 words.",
        "Explain in at most 50 words how a refrigerator works.",
    ],
    "friendship": [
        "Write about friendship and what follows from it.",
        "Compare friendship among children with that among the old.",
    ],
    "coffee": ["How do I remove a coffee stain now?", "How do I remove it from something, then?"],
    "cats and dogs": [
        "Which of cats and dogs suits a nurse who works at night?",
        "Which of them suits me best of all?",
    ],
    "better sleep": ["Give tips for a sailor who sleeps in shifts.", "Give some more tips for better sleep."],
}
"""How the first five seeds evolve, sample by sample: one of each way."""
SCORES = {
    "at most 50 words": 4,
    "what follows": 4,
    "among children": 5,
    "stain now": 2,
    "something, then": 3,
    "a nurse": 5,
    "suits me": 4,
    "a sailor": 5,
    "more tips": 2,
}
KEPT = [EVOLVED["refrigerator"][1], EVOLVED["friendship"][1], EVOLVED["cats and dogs"][0], EVOLVED["better sleep"][0]]


def said(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"])


@pytest.fixture
def evolved(shipped: Any, provider: Any) -> Any:
    recipe = shipped("evol-instruct", provider=provider, limit=5)
    recipe.answers(
        evolve=lambda body: next(texts for words, texts in EVOLVED.items() if words in said(body))[body["seed"]],
        check=lambda body: json.dumps(
            {"reason": "because", "score": next(score for words, score in SCORES.items() if words in said(body))}
        ),
        answer=lambda body: f"Thought through: {said(body)}",
    )
    assert recipe.collect().failed == 0
    return recipe


def test_the_better_evolution_of_each_instruction_is_answered_and_no_other(evolved: Any) -> None:
    assert evolved.collect().answered == 0
    assert evolved.steps() == {
        "evolve": {"rows": 10, "accepted": 9, "dropped": {"verify:regex": 1}},
        "check": {"rows": 9, "accepted": 6, "dropped": {"low_score": 3}},
        "answer": {"rows": 4, "accepted": 4, "dropped": {}},
    }
    assert sorted(messages[-1]["content"] for messages in evolved.asked("answer")) == sorted(KEPT)
    assert evolved.export().dropped == {"evolve:verify:regex": 1, "check:low_score": 3, "check:not_selected": 2}
    rows = evolved.rows()
    assert [[message["content"] for message in row["messages"]] for row in rows] == [
        [text, f"Thought through: {text}"] for text in KEPT
    ]
    assert [json.loads(row["seed"])["how"] for row in rows] == ["constrain", "deepen", "reason", "branch"]


def test_in_breadth_another_subject_is_asked_for_and_in_depth_a_harder_one(evolved: Any, as_golden: Any) -> None:
    checks = evolved.asked("check")
    for way, words in (("depth", "at most 50 words"), ("breadth", "a sailor")):
        (messages,) = [one for one in checks if words in one[-1]["content"]]
        as_golden("evol-instruct", f"check-{way}", messages)
    (answered,) = [one for one in evolved.asked("answer") if "a sailor" in one[-1]["content"]]
    as_golden("evol-instruct", "answer-asked", answered)


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("Explain how the wings of birds evolved, in three steps.", True),
        ("Here is a list of numbers: 3, 9, 4. Sort it and explain each step.", True),
        ("Sure, how do I remove a coffee stain from a carpet?", False),
        ("**Instruction:** explain how a refrigerator works in 50 words.", False),
        ("Here's a harder one: explain how a refrigerator works.", False),
        ("Answer the given prompt in at most fifty words, please.", False),
    ],
)
def test_words_about_the_work_are_dropped_and_an_instructions_own_are_not(
    shipped: Any, text: str, passes: bool
) -> None:
    outcome = Rules(shipped("evol-instruct").recipe).judge("evolve", Answer("ok", text), {})
    assert outcome.accepted is passes
    assert outcome.drop_reason == (None if passes else "verify:regex")


def test_a_way_that_the_template_does_not_know_is_said_so(shipped: Any, provider: Any) -> None:
    recipe = shipped("evol-instruct", provider=provider)
    seeds = recipe.path / "train.jsonl"
    seeds.write_text('{"instruction": "Explain rain.", "how": "deepn"}\n', encoding="utf-8")
    with pytest.raises(BadInput, match="deepn"):
        estimate(recipe.recipe)
