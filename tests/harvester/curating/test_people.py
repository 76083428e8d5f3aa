"""A person's word about a row stands above verifiers, judges and scores."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from harvester.collecting import collect
from harvester.curating import curate, speak
from harvester.exporting import export
from harvester.recipe import Recipe

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
