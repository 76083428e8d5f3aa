"""The recipe self-instruct with scripted answers: new tasks, mended lists, and pairs that a judge drops."""

import json
from collections import Counter
from typing import Any

NEW = {
    "summaries": ["Summarise the rules of chess in two sentences.", "Give this text a title: the sea was calm."],
    "arithmetic": ["Add up 3, 4 and 5.", "Divide the colour blue by a sound.", "Tell me how to harm my neighbour."],
}
SAID = {
    "Summarise the rules": "Two players move in turns. Who takes the king wins.",
    "Give this text": "A calm sea",
    "Add up": "12",
    "Divide the colour": "Blue by a sound is seven.",
    "Tell me": "I'm sorry, but I can't help with that.",
}


def said(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"])


def invent(body: dict[str, Any]) -> str:
    """The list for the area; about summaries only when asked once more."""
    texts = [message["content"] for message in body["messages"]]
    area = next(area for area in NEW if f'"{area}"' in texts[1])
    if area == "summaries" and len(texts) == 2:
        return "Here are two tasks: write something, and write something else."
    return json.dumps({"tasks": [{"task": task} for task in NEW[area]]})


def grade(body: dict[str, Any]) -> str:
    return json.dumps({"reason": "because", "score": 1 if "colour blue" in said(body) else 5})


def grown(shipped: Any, provider: Any) -> Any:
    """Collected from the first task and the first of arithmetic."""
    recipe = shipped("self-instruct", provider=provider)
    lines = (recipe.path / "train.jsonl").read_text(encoding="utf-8").splitlines()
    chosen = [next(line for line in lines if json.loads(line)["area"] == area) for area in NEW]
    (recipe.path / "train.jsonl").write_text("\n".join(chosen), encoding="utf-8")
    recipe.answers(
        invent=invent,
        answer=lambda body: next(answer for words, answer in SAID.items() if said(body).startswith(words)),
        grade=grade,
    )
    assert recipe.collect().failed == 0
    return recipe


def test_new_tasks_with_good_answers_become_rows_and_the_seeds_none(shipped: Any, provider: Any) -> None:
    recipe = grown(shipped, provider)
    assert recipe.collect().answered == 0
    assert recipe.steps() == {
        "invent": {"rows": 2, "accepted": 1, "dropped": {"output": 1}},
        "invent/repair": {"rows": 1, "accepted": 1, "dropped": {}},
        "answer": {"rows": 5, "accepted": 4, "dropped": {"verify:refusal": 1}},
        "grade": {"rows": 4, "accepted": 3, "dropped": {"low_score": 1}},
    }
    assert recipe.export().dropped == Counter({"grade:low_score": 1, "verify:refusal": 1})
    rows = recipe.rows()
    tasks = [*NEW["summaries"], NEW["arithmetic"][0]]
    assert [json.loads(row["seed"]) for row in rows] == [
        {"task": tasks[0], "area": "summaries"},
        {"task": tasks[1], "area": "summaries"},
        {"task": tasks[2], "area": "arithmetic"},
    ]
    assert [[message["content"] for message in row["messages"]] for row in rows] == [
        [task, next(answer for words, answer in SAID.items() if task.startswith(words))] for task in tasks
    ]
    assert {(row["step"], row["score"]) for row in rows} == {("answer", 5.0)}


def test_later_steps_see_the_new_task_and_a_second_attempt_what_was_wrong(
    shipped: Any, provider: Any, as_golden: Any
) -> None:
    recipe = grown(shipped, provider)
    (mended,) = [messages for messages in recipe.asked("invent") if len(messages) > 2]
    as_golden("self-instruct", "invent-repair", mended)
    for step in ("answer", "grade"):
        about = [messages for messages in recipe.asked(step) if "rules of chess" in messages[1]["content"]]
        as_golden("self-instruct", f"{step}-asked", about[0])
