"""A person's word about a row stands above verifiers, judges and scores."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from harvester.collecting import Options, collect
from harvester.curating import curate, speak
from harvester.errors import BadInput
from harvester.exporting import export
from harvester.recipe import Recipe

from provider import completion  # isort: skip - a helper beside the tests

FINE, POOR = "a fine answer", "a poor answer"
OURS = "what a person wrote"


def rows(out: Path, config: str = "data") -> list[dict[str, Any]]:
    return [row for path in sorted(out.glob(f"{config}/train-*.parquet")) for row in pq.read_table(path).to_pylist()]


def said(row: dict[str, Any]) -> str:
    return str(row["messages"][-1]["content"])


def collected(folder: Any) -> Recipe:
    folder.save()
    recipe = Recipe.load(folder.path)
    asyncio.run(collect(recipe))
    return recipe


@pytest.fixture
def judged(folder: Any, provider: Any) -> Recipe:
    """Two answers to one question: a judge gives one 9 and the other 2, and takes the better one."""
    takes = iter((FINE, POOR))

    def answer(body: dict[str, Any]) -> str:
        asked = body["messages"][-1]["content"]
        if asked.startswith("Judge"):
            return json.dumps({"reason": "so", "score": 9 if FINE in asked else 2})
        return next(takes)

    provider.answer = answer
    folder.write("judge.j2", "Judge: {{ steps.answer.text }}")
    folder.seeds("train.jsonl", ["a question"])
    folder.data["steps"][0] |= {"samples": 2}
    folder.data["steps"].append({"name": "grade", "kind": "judge", "prompt": "judge.j2", "select": "best_of_n"})
    folder.data["export"] = {"preference": True}
    return collected(folder)


@pytest.fixture
def row_of(judged: Recipe, tmp_path: Path) -> Callable[[str], str]:
    """An answer → its row_id."""
    export(judged, tmp_path / "all", unfiltered=True)
    by_answer = {said(row): str(row["row_id"]) for row in rows(tmp_path / "all")}
    return by_answer.__getitem__


def test_what_a_person_wrote_has_no_score_and_is_the_best_answer(judged: Recipe, row_of: Any, tmp_path: Path) -> None:
    speak(judged, row_of(POOR), "edit", answer=OURS)
    export(judged, tmp_path / "out")
    assert {said(row): row["score"] for row in rows(tmp_path / "out")} == {FINE: 9, OURS: None}
    (pair,) = rows(tmp_path / "out", "preference")
    assert (pair["chosen"][0]["content"], pair["rejected"][0]["content"]) == (OURS, FINE)
    assert (pair["score_chosen"], pair["score_rejected"]) == (None, 9)


def test_what_a_person_accepted_is_better_than_what_a_judge_preferred(
    judged: Recipe, row_of: Any, tmp_path: Path
) -> None:
    speak(judged, row_of(POOR), "accept")
    export(judged, tmp_path / "out")
    assert {said(row): row["score"] for row in rows(tmp_path / "out")} == {FINE: 9, POOR: 2}
    (pair,) = rows(tmp_path / "out", "preference")
    assert (pair["chosen"][0]["content"], pair["rejected"][0]["content"]) == (POOR, FINE)


def test_what_a_person_stands_by_is_never_the_worse_of_a_pair(judged: Recipe, row_of: Any, tmp_path: Path) -> None:
    speak(judged, row_of(FINE), "accept")
    speak(judged, row_of(POOR), "edit", answer=OURS)
    export(judged, tmp_path / "out")
    assert {said(row) for row in rows(tmp_path / "out")} == {FINE, OURS}
    assert rows(tmp_path / "out", "preference") == []


def test_what_a_person_rejected_is_in_no_pair(judged: Recipe, row_of: Any, tmp_path: Path) -> None:
    speak(judged, row_of(POOR), "reject")
    export(judged, tmp_path / "out")
    assert rows(tmp_path / "out", "preference") == []


@pytest.mark.parametrize(("kind", "answer"), [("accept", None), ("edit", OURS)])
def test_no_score_is_asked_of_what_a_person_stands_by(
    judged: Recipe, row_of: Any, tmp_path: Path, kind: Any, answer: str | None
) -> None:
    speak(judged, row_of(POOR), kind, answer=answer)
    export(judged, tmp_path / "out", min_score=5)
    assert {said(row) for row in rows(tmp_path / "out")} == {FINE, answer or POOR}


@pytest.mark.parametrize(("kind", "dropped"), [("accept", {}), ("reject", {"person:rejected": 1})])
def test_a_person_s_word_waits_for_no_judge(
    folder: Any, provider: Any, tmp_path: Path, kind: Any, dropped: dict[str, int]
) -> None:
    folder.seeds("train.jsonl", ["a question"])
    recipe = collected(folder)
    folder.write("judge.j2", "Judge: {{ steps.answer.text }}")
    folder.data["steps"].append({"name": "grade", "kind": "judge", "prompt": "judge.j2"})
    folder.save()
    export(recipe, tmp_path / "out")
    (row,) = rows(tmp_path / "out")
    waiting = Recipe.load(folder.path)
    assert export(waiting, tmp_path / "out").waiting == 1
    speak(waiting, row["row_id"], kind)
    made = export(waiting, tmp_path / "out")
    assert (made.waiting, made.dropped, made.rows["train"]) == (0, dropped, int(kind == "accept"))
    assert curate(waiting).before["train"] == int(kind == "accept")


def stored(recipe: Recipe) -> list[str]:
    """The row_ids in the store, in the order in which they were planned."""
    with closing(sqlite3.connect(recipe.folder / "harvest.db")) as connection:
        return [row_id for (row_id,) in connection.execute("SELECT row_id FROM rows ORDER BY id")]


@pytest.fixture
def two(folder: Any, provider: Any) -> Recipe:
    """A request that failed for good, and an empty reply."""
    folder.seeds("train.jsonl", ["a bad request", "an empty reply"])
    provider.script = lambda body, _: (
        (200, {}, completion(""))
        if "empty" in body["messages"][-1]["content"]
        else (400, {}, b'{"error": {"message": "no"}}')
    )
    return collected(folder)


def test_nothing_is_no_answer_to_accept_but_may_be_edited(two: Recipe, tmp_path: Path) -> None:
    for row_id in stored(two):
        with pytest.raises(BadInput, match=r"no text to accept \(.+\); `edit`"):
            speak(two, row_id, "accept")
    assert export(two, tmp_path / "out").rows["train"] == 0
    speak(two, stored(two)[1], "edit", answer=OURS)
    export(two, tmp_path / "out")
    assert [said(row) for row in rows(tmp_path / "out")] == [OURS]


@pytest.mark.parametrize("answer", ["", " \n", None])
def test_an_edit_without_a_text_is_refused(two: Recipe, answer: str | None) -> None:
    with pytest.raises(BadInput, match="add --answer"):
        speak(two, stored(two)[0], "edit", answer=answer)


def test_a_row_that_waits_has_no_answer_to_speak_of(folder: Any) -> None:
    folder.seeds("train.jsonl", ["one", "two"])
    folder.save()
    recipe = Recipe.load(folder.path)
    asyncio.run(collect(recipe, None, Options(limit=1)))
    with pytest.raises(BadInput, match=r"no answer yet.*harvester collect"):
        speak(recipe, stored(recipe)[1], "accept")


def test_of_a_mended_row_the_second_attempt_is_the_one_to_speak_of(folder: Any, provider: Any, tmp_path: Path) -> None:
    folder.seeds("train.jsonl", ["one"])
    folder.data["steps"][0]["output"] = {"json_schema": {"type": "object", "required": ["a"]}}
    provider.script = lambda body, _: (200, {}, completion('{"a": 1}' if len(body["messages"]) > 1 else "prose"))
    recipe = collected(folder)
    first, second = stored(recipe)
    with pytest.raises(BadInput, match=f"{first}: no export writes it, another attempt .* speak of {second}"):
        speak(recipe, first, "edit", answer='{"a": 2}')
    speak(recipe, second, "edit", answer='{"a": 2}')
    export(recipe, tmp_path / "out")
    assert [said(row) for row in rows(tmp_path / "out")] == ['{"a": 2}']


def test_of_an_older_plan_s_row_the_new_one_is_named_and_a_word_can_still_be_withdrawn(folder: Any) -> None:
    folder.seeds("train.jsonl", ["one"])
    old = stored(collected(folder))[0]
    folder.write("answer.j2", "Tell me of {{ text }}")
    recipe = collected(folder)
    new = stored(recipe)[1]
    with pytest.raises(BadInput, match=f"{old}: no export writes it, it is of an older plan of toy; speak of {new}"):
        speak(recipe, old, "reject")
    speak(recipe, old, "withdraw")


def test_bytes_that_are_no_text_are_refused_in_one_line(two: Recipe) -> None:
    with pytest.raises(BadInput, match=r"'\\udce9': is no row_id"):
        speak(two, "\udce9", "accept")
    with pytest.raises(BadInput, match="answer is no text that can be kept"):
        speak(two, stored(two)[0], "edit", answer="caf\udce9")
