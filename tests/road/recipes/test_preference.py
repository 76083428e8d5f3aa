"""The recipe preference with scripted answers: which answers become a pair, and which question gives none."""

import json
import re
from typing import Any

from harvester.exporting.preference import PAIRS

REFUSAL = "I'm sorry, but I can't help with that."
SAID = {
    "cooked rice": ["A week. Quality 3.", "Three days. Quality 8.", "For ever. Quality 1.", "Some days. Quality 6."],
    "chewing gum": ["Ice. Quality 7.", REFUSAL, "Pull. Quality 4.", "Ice it. Quality 7."],
    "peel garlic": ["Crush it. Quality 7."] * 4,
}


def answer(body: dict[str, Any]) -> str:
    question = body["messages"][-1]["content"]
    return next(said[body["seed"]] for words, said in SAID.items() if words in question)


def grade(body: dict[str, Any]) -> str:
    (score,) = re.findall(r"Quality (\d)", body["messages"][-1]["content"])
    return json.dumps({"reason": "because", "score": int(score)})


def text(messages: list[dict[str, str]]) -> str:
    (message,) = messages
    return message["content"]


def test_the_best_and_the_worst_answer_to_a_question_become_a_pair(shipped: Any, provider: Any) -> None:
    recipe = shipped("preference", provider=provider)
    recipe.answers(answer=answer, grade=grade)
    assert recipe.collect().failed == 0
    assert recipe.collect().answered == 0
    assert recipe.steps() == {
        "answer": {"rows": 12, "accepted": 11, "dropped": {"verify:refusal": 1}},
        "grade": {"rows": 11, "accepted": 11, "dropped": {}},
    }
    recipe.export()
    pairs = recipe.rows("preference")
    assert list(pairs[0]) == PAIRS.names
    assert [
        (text(pair["chosen"]), text(pair["rejected"]), pair["score_chosen"], pair["score_rejected"]) for pair in pairs
    ] == [
        (SAID["cooked rice"][1], SAID["cooked rice"][2], 8.0, 1.0),
        (SAID["chewing gum"][0], REFUSAL, 7.0, None),
    ]
    assert [pair["prompt"] for pair in pairs] == [
        [{"role": "user", "content": json.loads(pair["seed"])["question"]}] for pair in pairs
    ]
    assert [pair["chosen"][0]["role"] for pair in pairs] == ["assistant"] * 2


def test_the_best_answer_to_each_question_is_a_row_of_its_own(shipped: Any, provider: Any) -> None:
    recipe = shipped("preference", provider=provider)
    recipe.answers(answer=answer, grade=grade)
    recipe.collect()
    recipe.export()
    rows = recipe.rows()
    assert [(row["sample"], row["score"]) for row in rows] == [(1, 8.0), (0, 7.0), (0, 7.0)]
    ids = {pair["row_id_chosen"] for pair in recipe.rows("preference")}
    assert ids == {row["row_id"] for row in rows[:2]}


def test_a_right_answer_of_one_word_is_not_the_worse_one(shipped: Any, provider: Any) -> None:
    recipe = shipped("preference", provider=provider, limit=1)
    recipe.answers(
        answer=lambda body: "No." if body["seed"] else "It is a prime number, as nothing divides it.",
        grade=lambda body: json.dumps({"reason": "", "score": 9 if "No." in body["messages"][-1]["content"] else 2}),
    )
    recipe.collect()
    recipe.export()
    (pair,) = recipe.rows("preference")
    assert text(pair["chosen"]) == "No."


def test_the_judge_sees_question_and_answer(shipped: Any, provider: Any, as_golden: Any) -> None:
    recipe = shipped("preference", provider=provider, limit=1)
    recipe.answers(answer=answer, grade=grade)
    recipe.collect()
    (messages,) = [one for one in recipe.asked("grade") if "Quality 8" in one[-1]["content"]]
    as_golden("preference", "grade-asked", messages)
