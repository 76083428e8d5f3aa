"""The recipe classify with scripted answers: the vote, the label set, and the balance that is watched."""

import json
from collections import Counter
from typing import Any

from harvester.starting import recipes
from harvester.status import status

VOTES = {
    "My invoice": ["billing", "delivery", "account", "delivery", "billing"],  # a tie: the first of them
    "Where is my order": ["technical", "delivery", "Delivery.", "delivery", "I think it is delivery"],
    "The website freezes": ["no idea", "TECHNICAL", "it depends", "billing or technical", "help"],
}


def label(body: dict[str, Any]) -> str:
    text = body["messages"][-1]["content"]
    return next((votes[body["seed"]] for words, votes in VOTES.items() if text.startswith(words)), "account")


def seeds(name: str) -> list[dict[str, str]]:
    text = (recipes()["classify"] / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_the_label_that_most_samples_give_is_kept_and_what_is_no_label_has_no_vote(shipped: Any, provider: Any) -> None:
    recipe = shipped("classify", provider=provider)
    recipe.answers(label=label)
    assert recipe.collect().failed == 0
    assert recipe.collect().answered == 0
    exported = recipe.export()
    assert exported.dropped["verify:labels"] == 7
    assert exported.dropped["not_selected"] == 4 + 2
    rows = recipe.rows()
    assert [(row["messages"][-1]["content"], row["sample"]) for row in rows] == [("billing", 0), ("delivery", 1)]
    assert [row["messages"][:-1] for row in rows] == [
        [{"role": "user", "content": json.loads(row["seed"])["text"]}] for row in rows
    ]


def test_held_out_messages_keep_every_answer_and_the_right_label(shipped: Any, provider: Any) -> None:
    recipe = shipped("classify", provider=provider, limit=2)
    recipe.answers(label=label)
    recipe.collect()
    recipe.export()
    rows = recipe.rows(split="test")
    assert Counter(row["drop_reason"] for row in rows) == {None: 2, "not_selected": 8}
    assert {row["reference"] for row in rows} == {'"billing"'}
    assert not any("billing" in row["seed"] for row in rows)


def test_a_teacher_with_one_label_for_everything_is_warned_of(shipped: Any, provider: Any) -> None:
    recipe = shipped("classify", provider=provider, limit=6)
    recipe.answers(label=lambda _: "delivery")
    recipe.collect()
    (warning,) = status(recipe.recipe)["warnings"]
    assert "'delivery'" in warning
    assert "all" in warning


def test_every_label_is_held_out_equally_often_and_no_message_is_learnt_too() -> None:
    labels = (recipes()["classify"] / "labels.txt").read_text(encoding="utf-8").split()
    heldout, train = seeds("heldout.jsonl"), seeds("train.jsonl")
    assert Counter(seed["reference"] for seed in heldout) == dict.fromkeys(labels, 6)
    texts = [seed["text"] for seed in (*heldout, *train)]
    assert len(set(texts)) == len(texts)
    assert not any("reference" in seed for seed in train)
