"""`trace` walks a row back to its seed, as everything stood on the day when it was asked."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from harvester import terms
from harvester.cli import tracing
from harvester.collecting import Options, collect
from harvester.errors import BadInput, StoreUnusable
from harvester.recipe import Recipe
from harvester.store import StoredRow, StoreReader
from harvester.tracing import trace

from provider import last_line  # isort: skip - a helper beside the tests


@pytest.fixture
def store(folder: Any) -> Path:
    folder.data["teacher"]["price"] = {"input": 1, "output": 2}
    folder.save()
    return run(folder)


def run(folder: Any, **options: Any) -> Path:
    asyncio.run(collect(Recipe.load(folder.path), None, Options(**options)))
    return Path(folder.path) / "harvest.db"


def rows(store: Path, step: str = "answer") -> list[StoredRow]:
    with StoreReader.open(store) as reader:
        plan = reader.current_plan("toy")
        assert plan is not None
        return [row for row in reader.rows(plan) if row.step.startswith(step)]


def change(store: Path, statement: str, *values: Any) -> None:
    connection = sqlite3.connect(store)
    with connection:
        connection.execute(statement, values)
    connection.close()


def test_trace_walks_from_the_row_to_everything_behind_it(store: Path, folder: Any) -> None:
    with StoreReader.open(store) as reader:
        row = next(row for row in reader.rows(1) if row.seed == {"text": "seed 4"})
    found = trace(store, row.row_id[:12])
    assert found["seed"] == {"text": "seed 4"}
    assert found["body"]["messages"][0]["content"].endswith("seed 4")
    assert json.loads(found["reply"]["raw"])["choices"][0]["message"]["content"] == "answer to seed 4"
    assert found["reply"]["terms"]["id"] == "declared:Apache-2.0"
    assert found["reply"]["price"]["output"] == "2"
    assert found["recipe_text"] == (folder.path / "recipe.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("row", ["nonsense", "", "%"])
def test_trace_asks_for_one_row(store: Path, row: str) -> None:
    with pytest.raises(BadInput, match=r"rows? begins? with"):
        trace(store, row)


def test_fault_27_a_row_keeps_the_terms_price_and_recipe_of_its_day(
    store: Path, folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = (folder.path / "recipe.yaml").read_text(encoding="utf-8")
    stricter = {
        **terms._registry(),
        "licenses": [{"id": "Apache-2.0", "verdict": "conditions", "obligations": ["new"]}],
    }
    monkeypatch.setattr(terms, "_registry", lambda: stricter)
    folder.data["teacher"]["price"]["output"] = 3
    folder.save()
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(11)])
    run(folder)
    old, new = (trace(store, rows(store)[place].row_id) for place in (0, 10))
    assert [one["reply"]["terms"]["verdict"] for one in (old, new)] == ["allowed", "conditions"]
    assert [one["reply"]["terms"]["obligations"] for one in (old, new)] == [[], ["new"]]
    assert [one["reply"]["price"]["output"] for one in (old, new)] == ["2", "3"]
    assert old["recipe_text"] == first
    assert new["recipe_text"] == (folder.path / "recipe.yaml").read_text(encoding="utf-8") != first
    assert old["planned_at"] < old["reply"]["received_at"] < new["planned_at"] < new["reply"]["received_at"]


def test_a_row_that_nobody_has_answered_has_the_recipe_that_planned_it(folder: Any) -> None:
    store = run(folder, limit=1)
    found = trace(store, rows(store)[5].row_id)
    assert (found["reply"], found["request"]["state"]) == (None, "pending")
    assert found["recipe_text"] == (folder.path / "recipe.yaml").read_text(encoding="utf-8")


def test_a_row_that_another_recipe_asked_for_has_the_text_of_its_own(folder: Any) -> None:
    store = run(folder)
    folder.data["name"] = "other"
    folder.save()
    run(folder)
    with StoreReader.open(store) as reader:
        (row, *_) = reader.rows(reader.current_plan("other") or 0)
    found = trace(store, row.row_id)
    assert found["recipe"] == "other"
    assert found["recipe_text"] == (folder.path / "recipe.yaml").read_text(encoding="utf-8")
    assert trace(store, rows(store)[0].row_id)["recipe_text"] != found["recipe_text"]


@pytest.fixture
def judged(folder: Any, provider: Any) -> Any:
    """answer → grade → check, a judge of the judge."""
    folder.write("answer.j2", "answer {{ text }}")
    folder.write("grade.j2", "grade {{ steps.answer.text }}")
    folder.write("check.j2", "check {{ steps.grade.reason }}")
    folder.data["steps"] = [
        {"name": "answer", "prompt": "answer.j2"},
        {"name": "grade", "prompt": "grade.j2", "kind": "judge"},
        {"name": "check", "prompt": "check.j2", "kind": "judge"},
    ]
    folder.data["judge"] = {**folder.data["teacher"], "model": "judge-1"}
    folder.data["terms"]["judge"] = {"license": "Gemma"}
    folder.save()
    provider.answer = lambda body: (
        '{"reason": "r", "score": 4}' if body["model"] == "judge-1" else "about " + last_line(body)
    )
    return folder


def test_every_teacher_behind_a_row_is_found_from_it(judged: Any) -> None:
    store = run(judged)
    found = trace(store, rows(store)[0].row_id)
    assert [(part["step"], part["reply"]["teacher"]["name"]) for part in found["led_to"]] == [
        ("grade", "judge"),
        ("check", "judge"),
    ]
    assert {part["reply"]["terms"]["verdict"] for part in found["led_to"]} == {"conditions"}
    last = trace(store, found["led_to"][-1]["row_id"])
    assert [part["step"] for part in last["made_from"]] == ["answer", "grade"]
    assert last["made_from"][0]["body"] == found["body"]


def test_the_command_tells_terms_and_what_was_said(judged: Any, harvester: Any) -> None:
    judged.data["terms"] = {name: {"basis": "a contract", "accepted_by": "A. Person"} for name in ("teacher", "judge")}
    judged.save()
    store = run(judged)
    code, out, _ = harvester("trace", rows(store)[0].row_id, "--recipe", judged.path)
    assert code == 0
    assert out.count("terms of that day: unknown (not-in-registry; no entry found)") == 3
    assert out.count("basis: a contract (accepted by A. Person; claimed, not checked)") == 3
    assert "about answer seed 0" in out
    assert "by another text of the recipe" not in out


def test_the_outcome_of_a_row_and_of_what_it_led_to_is_told_in_words(judged: Any, harvester: Any) -> None:
    judged.data["steps"][2]["min_score"] = 5
    judged.save()
    row = rows(run(judged))[0].row_id
    code, out, _ = harvester("trace", row, "--recipe", judged.path)
    assert code == 0
    lines = out.splitlines()
    assert "outcome: accepted" in lines
    assert "outcome: accepted; score 4" in lines
    assert "outcome: dropped: low_score (the judge's score is too low); score 4" in lines
    whole = json.loads(harvester("trace", row, "--recipe", judged.path, "--json")[1])
    assert whole["outcome"]["accepted"] is True
    assert [part["outcome"]["drop_reason"] for part in whole["led_to"]] == [None, "low_score"]


def test_the_checks_that_failed_are_told_as_the_store_has_them(store: Path, folder: Any, harvester: Any) -> None:
    row = rows(store)[0]
    checks = [{"name": name, "params": {}, "passed": name == "regex", "reason": "no t"} for name in ("regex", "code")]
    made = "UPDATE outcomes SET accepted = 0, drop_reason = 'verify:code', checks = ? WHERE id = ?"
    change(store, made, json.dumps(checks), row.id)
    assert [check["name"] for check in trace(store, row.row_id)["outcome"]["failed_checks"]] == ["code"]
    _, out, _ = harvester("trace", row.row_id, "--recipe", folder.path)
    assert "outcome: dropped: verify:code (fails the check code)\n  code: no t\n" in out


def test_a_row_that_was_never_judged_has_no_outcome(folder: Any, harvester: Any) -> None:
    row = rows(run(folder, limit=1))[5].row_id
    _, out, _ = harvester("trace", row, "--recipe", folder.path)
    assert "outcome" not in out
    assert trace(folder.path / "harvest.db", row)["outcome"] is None


def test_a_trace_shows_json_as_json_and_counts_in_english(store: Path, folder: Any, harvester: Any) -> None:
    _, out, _ = harvester("trace", rows(store)[0].row_id, "--recipe", folder.path)
    assert 'seed: {"text": "seed 0"}\nreference: null\n' in out
    assert "answered after 1 attempt\n" in out


def test_another_text_of_the_recipe_is_shown_once(judged: Any, harvester: Any) -> None:
    row = rows(run(judged))[0].row_id
    whole = trace(judged.path / "harvest.db", row)
    for part in whole["led_to"]:
        part["recipe_text"] = "name: of another day"
    assert tracing.text(whole).count("name: of another day") == 1


DAMAGE = {
    "reply": "UPDATE replies SET raw = x'00'",
    "body": "UPDATE requests SET body = x'00'",
    "seed": "UPDATE seeds SET data = 'no JSON'",
    "no seed": "DELETE FROM seeds",
    "no parent": "UPDATE rows SET parent = 0",
    "its own parent": "UPDATE rows SET parent = id",
    "terms": "UPDATE teachers SET terms = '{'",
}


@pytest.mark.parametrize("statement", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_one_line(store: Path, folder: Any, harvester: Any, statement: str) -> None:
    row = rows(store)[3].row_id
    change(store, statement)
    with pytest.raises(StoreUnusable, match=r"harvest\.db: damaged \(.*`harvester verify`"):
        trace(store, row)
    code, _, errors = harvester("trace", row, "--recipe", folder.path)
    assert (code, errors.count("\n")) == (6, 1)


def test_a_text_that_is_no_text_is_one_line(store: Path) -> None:
    row = rows(store)[3].row_id
    change(store, "UPDATE seeds SET data = CAST(x'ff' AS TEXT)")
    with pytest.raises(StoreUnusable):
        trace(store, row)
