"""The recipe instruct with scripted answers: who is judged, which sample is kept, what the student will see."""

import json
import re
from collections import Counter
from typing import Any

SAID = {
    "e-mail": ["Could we meet on Wednesday? Quality 3.", "May I move our meeting to Wednesday, 14:00? Quality 5."],
    "active voice": ["I'm sorry, but I can't help with that.", "The children broke it. Quality 4."],
    "lighthouse": ["A light. Quality 2.", "Fog. Quality 3."],
}


def answer(body: dict[str, Any]) -> str:
    task = body["messages"][-1]["content"]
    return next(said[body["seed"]] for words, said in SAID.items() if words in task)


def grade(body: dict[str, Any]) -> str:
    (score,) = re.findall(r"Quality (\d)", body["messages"][-1]["content"])
    return json.dumps({"reason": "because", "score": int(score)})


def test_the_better_of_the_two_good_samples_of_a_task_is_kept(shipped: Any, provider: Any) -> None:
    recipe = shipped("instruct", provider=provider)
    recipe.answers(answer=answer, grade=grade)
    assert recipe.collect().failed == 0
    assert recipe.collect().answered == 0
    assert recipe.steps() == {
        "answer": {"rows": 6, "accepted": 5, "dropped": {"verify:refusal": 1}},
        "grade": {"rows": 5, "accepted": 2, "dropped": {"low_score": 3}},
    }
    assert recipe.export().dropped == Counter({"grade:low_score": 3, "verify:refusal": 1})
    rows = recipe.rows()
    assert [(row["sample"], row["score"]) for row in rows] == [(1, 5.0), (1, 4.0)]
    assert rows[0]["messages"] == [
        {"role": "user", "content": json.loads(rows[0]["seed"])["task"]},
        {"role": "assistant", "content": SAID["e-mail"][1]},
    ]
    assert {check["name"]: check["passed"] for check in rows[0]["checks"]} == {"refusal": True, "length": True}


def test_of_two_good_samples_the_one_with_the_higher_score_is_kept(shipped: Any, provider: Any) -> None:
    recipe = shipped("instruct", provider=provider, limit=1)
    recipe.answers(answer=lambda body: f"Quality {5 - body['seed']}.", grade=grade)
    recipe.collect()
    assert recipe.export().dropped == Counter({"grade:not_selected": 1})
    assert [(row["sample"], row["score"]) for row in recipe.rows()] == [(0, 5.0)]


def test_an_answer_of_two_words_is_whole(shipped: Any, provider: Any) -> None:
    recipe = shipped("instruct", provider=provider, limit=1)
    recipe.answers(answer=lambda _: "34 euros", grade=lambda _: '{"reason": "right", "score": 5}')
    recipe.collect()
    recipe.export()
    assert [row["messages"][-1]["content"] for row in recipe.rows()] == ["34 euros"]


def test_the_judge_sees_task_and_answer(shipped: Any, provider: Any, as_golden: Any) -> None:
    recipe = shipped("instruct", provider=provider, limit=1)
    recipe.answers(answer=lambda _: "The one answer. Quality 5.", grade=grade)
    recipe.collect()
    as_golden("instruct", "grade-asked", recipe.asked("grade")[0])
