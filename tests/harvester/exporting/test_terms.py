"""What binds a dataset of several teachers: the strictest verdict, every obligation, and rows that may be left out."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from harvester.collecting import Options, collect
from harvester.errors import BadInput, RefusedByTerms
from harvester.exporting import export
from harvester.recipe import Recipe
from harvester.terms import STRICTNESS

BASIS = {"basis": "a contract of ours", "accepted_by": "A. Person"}


def run(folder: Any, terms: dict[str, Any], **options: Any) -> Recipe:
    folder.data["terms"] = terms
    folder.save()
    recipe = Recipe.load(folder.path)
    asyncio.run(collect(recipe, None, Options(**options)))
    return recipe


@pytest.fixture
def mixed(folder: Any) -> Recipe:
    """Of train 4 rows are allowed, 4 under conditions and 2 unknown with a basis; of test both are unknown."""
    folder.seeds("heldout.jsonl", ["held 0", "held 1"])
    folder.data["heldout"] = {"path": "heldout.jsonl"}
    run(folder, {"teacher": {"license": "Apache-2.0"}}, limit=4)
    run(folder, {"teacher": {"license": "Llama-3.1"}}, limit=4)
    return run(folder, {"teacher": BASIS})


def rows(path: Path) -> list[dict[str, Any]]:
    return [row for shard in sorted(path.glob("*/*.parquet")) for row in pq.read_table(shard).to_pylist()]


def verdicts(path: Path) -> set[str]:
    return {terms["verdict"] for row in rows(path) for terms in row["terms"]}


def manifest(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "harvester.json").read_text(encoding="utf-8"))
    return found


def test_the_strictest_verdict_and_every_rule_bind_the_whole(mixed: Recipe, tmp_path: Path) -> None:
    export(mixed, tmp_path / "out")
    overall = manifest(tmp_path / "out")["overall"]
    assert overall["verdict"] == "unknown"
    assert overall["name_prefixes"] == ["Llama"]
    assert overall["show"] == ["Built with Llama"]
    assert "the student's name starts with Llama" in overall["obligations"]
    assert [one["verdict"] for one in manifest(tmp_path / "out")["terms"]] == ["allowed", "conditions", "unknown"]


@pytest.mark.parametrize(
    ("limit", "kept", "dropped"),
    [
        ("allowed", {"train": 4}, {"terms:conditions": 4, "terms:unknown": 4}),
        ("conditions", {"train": 8}, {"terms:unknown": 4}),
        ("unknown", {"train": 10, "test": 2}, {}),
    ],
)
def test_rows_of_stricter_terms_are_in_no_split(
    mixed: Recipe, tmp_path: Path, limit: str, kept: dict[str, int], dropped: dict[str, int]
) -> None:
    exported = export(mixed, tmp_path / "out", only_terms=limit)
    assert (dict(exported.rows), dict(exported.dropped)) == (kept, dropped)
    assert verdicts(tmp_path / "out") == set(STRICTNESS[: STRICTNESS.index(limit) + 1])
    found = manifest(tmp_path / "out")
    assert (found["only_terms"], found["overall"]["verdict"], found["dropped"]) == (limit, limit, dropped)
    assert {one["verdict"] for one in found["terms"]} == verdicts(tmp_path / "out")


def test_what_left_for_its_terms_binds_nobody(mixed: Recipe, tmp_path: Path) -> None:
    export(mixed, tmp_path / "out", only_terms="allowed")
    overall = manifest(tmp_path / "out")["overall"]
    assert overall == {"verdict": "allowed", "obligations": [], "name_prefixes": [], "show": [], "pass_on": []}
    assert "Llama" not in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_an_entry_that_got_stricter_since_binds_by_both_its_verdicts(folder: Any, tmp_path: Path) -> None:
    run(folder, {"teacher": {"license": "MIT"}}, limit=4)
    connection = sqlite3.connect(folder.path / "harvest.db")
    with connection:
        (text,) = connection.execute("SELECT terms FROM teachers").fetchone()
        stricter = json.dumps(json.loads(text) | {"verdict": "conditions"})
        connection.execute("UPDATE teachers SET terms = ?, fingerprint = 'older'", (stricter,))
    connection.close()
    export(run(folder, {"teacher": {"license": "MIT"}}), tmp_path / "out")
    found = manifest(tmp_path / "out")
    assert [(one["id"], one["verdict"]) for one in found["terms"]] == [
        ("declared:MIT", "conditions"),
        ("declared:MIT", "allowed"),
    ]
    assert found["overall"]["verdict"] == "conditions"


def test_a_judge_of_stricter_terms_takes_its_rows_along(folder: Any, provider: Any, tmp_path: Path) -> None:
    folder.write("grade.j2", "grade {{ text }}\n{{ steps.answer.text }}")
    folder.data["steps"].append({"name": "grade", "kind": "judge", "prompt": "grade.j2"})
    folder.data["judge"] = {**folder.data["teacher"], "model": "judge-1"}
    provider.answer = lambda body: '{"reason": "", "score": 4}' if body["model"] == "judge-1" else "fine"
    recipe = run(folder, {"teacher": {"license": "MIT"}, "judge": {"license": "Gemma"}})
    assert export(recipe, tmp_path / "all").rows["train"] == 10
    assert manifest(tmp_path / "all")["overall"]["verdict"] == "conditions"
    with pytest.raises(RefusedByTerms):
        export(recipe, tmp_path / "out", only_terms="allowed")


def test_pairs_of_stricter_terms_leave_as_well(folder: Any, provider: Any, tmp_path: Path) -> None:
    provider.answer = lambda body: "good" if body["seed"] % 2 else "worse"
    folder.data["teacher"]["sampling"]["seed"] = 0
    folder.data["steps"][0] |= {"samples": 2, "verify": {"regex": {"pattern": "good"}}}
    folder.data["export"] = {"preference": True}
    run(folder, {"teacher": {"license": "MIT"}}, limit=10)
    recipe = run(folder, {"teacher": {"license": "Gemma"}})
    assert export(recipe, tmp_path / "all").pairs["train"] == 10
    assert export(recipe, tmp_path / "out", only_terms="allowed").pairs["train"] == 5
    assert verdicts(tmp_path / "out") == {"allowed"}


def test_no_row_left_is_a_refusal_and_the_old_dataset_stays(mixed: Recipe, folder: Any, tmp_path: Path) -> None:
    export(mixed, tmp_path / "out")
    before = rows(tmp_path / "out")
    other = folder.path / "other.db"
    recipe = run(folder, {"teacher": {"license": "Gemma"}})
    asyncio.run(collect(recipe, other))
    with pytest.raises(RefusedByTerms, match=r"every row was left out for its terms \(12 terms:conditions\)"):
        export(recipe, tmp_path / "out", store=other, only_terms="allowed")
    assert rows(tmp_path / "out") == before


def test_a_word_that_is_no_verdict_is_refused(mixed: Recipe, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="'alowed' is no verdict; name one of allowed, conditions"):
        export(mixed, tmp_path / "out", only_terms="alowed")
    assert not (tmp_path / "out").exists()


def test_the_command_takes_every_verdict_and_no_other_word(mixed: Recipe, harvester: Any, tmp_path: Path) -> None:
    for verdict in STRICTNESS:
        code, out, _ = harvester("export", mixed.folder, tmp_path / verdict, "--only-terms", verdict)
        assert code == 0, out
    code, _, errors = harvester("export", mixed.folder, tmp_path / "out", "--only-terms", "free")
    assert (code, errors.count("\n")) == (2, 1)
    assert "'allowed', 'conditions', 'unknown', 'forbidden-competing', 'forbidden'" in errors
