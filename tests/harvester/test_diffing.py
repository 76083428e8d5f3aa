"""What differs between two exports, and why rows are gone."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from harvester.collecting import Options, collect
from harvester.curating import curate
from harvester.diffing import SHOWN, diff
from harvester.errors import BadInput, StoreUnusable
from harvester.exporting import export
from harvester.exporting.missing import KEPT, NO_ANSWER, NOT_ASKED
from harvester.recipe import Recipe
from harvester.verdicts import Verdict, say

SEEDS = [f"seed {number}" for number in range(15)]


@pytest.fixture
def collected(folder: Any) -> Any:
    """15 rows of train, all kept."""
    folder.seeds("train.jsonl", SEEDS)
    folder.save()
    asyncio.run(collect(Recipe.load(folder.path), None, Options()))
    return folder


def exported(folder: Any, out: Path) -> Path:
    folder.save()
    export(Recipe.load(folder.path), out)
    return out


def test_two_exports_of_one_store_are_the_same(collected: Any, harvester: Any, tmp_path: Path) -> None:
    old, new = exported(collected, tmp_path / "a"), exported(collected, tmp_path / "b")
    found = diff(old, new)
    assert (found.same, found.rows, found.left_out) == (True, (15, 15), {})
    assert harvester("diff", old, new)[:2] == (0, "no difference: 15 rows\n")


def test_dropped_rows_have_their_reason_from_the_recipe(collected: Any, harvester: Any, tmp_path: Path) -> None:
    old = exported(collected, tmp_path / "a")
    collected.data["steps"][0]["verify"] = {"regex": {"pattern": "seed 1"}}
    new = exported(collected, tmp_path / "b")
    found = diff(old, new, recipe=Recipe.load(collected.path))
    assert (found.added, found.dropped) == ({}, {"train": 9})
    assert found.reasons == {"verify:regex": 9}
    assert found.left_out == {"verify:regex": (0, 9)}
    assert (found.changed, found.columns) == (6, {"checks": 6})
    code, out, _ = harvester("diff", old, new, "--recipe", collected.path)
    assert code == 0
    for line in ("15 rows before, 6 after", "  9 dropped: train", "    9 for: verify:regex", "    6 in checks"):
        assert line in out.split("\n")


def test_without_a_recipe_the_counts_of_both_exports_are_compared(collected: Any, tmp_path: Path) -> None:
    old = exported(collected, tmp_path / "a")
    collected.data["steps"][0]["verify"] = {"regex": {"pattern": "seed 1"}}
    found = diff(old, exported(collected, tmp_path / "b"))
    assert (found.reasons, found.left_out) == ({}, {"verify:regex": (0, 9)})


def test_a_changed_row_shows_where_it_parts(collected: Any, harvester: Any, tmp_path: Path) -> None:
    collected.write("answer.j2", "{{ text }}")
    old = exported(collected, tmp_path / "a")
    collected.write("student.j2", "{{ text }}\nsaid \x1b[31m" + "long " * 50)
    collected.data["student"] = {"prompt": "student.j2"}
    new = exported(collected, tmp_path / "b")
    found = diff(old, new)
    assert (found.changed, found.columns) == (15, {"messages": 15})
    assert len(found.shown["changed"]) == SHOWN
    before, after = found.shown["changed"][0]["columns"]["messages"]
    assert "seed 0" in before + after
    assert len(after) <= 62
    _, out, _ = harvester("diff", old, new)
    assert " → " in out
    assert "\x1b" not in out


def test_rows_that_came_are_counted_by_split(collected: Any, folder: Any, tmp_path: Path) -> None:
    old = exported(collected, tmp_path / "a")
    collected.seeds("dev.jsonl", ["dev 0"])
    collected.data["dev"] = {"path": "dev.jsonl"}
    collected.save()
    asyncio.run(collect(Recipe.load(collected.path), None, Options()))
    found = diff(old, exported(collected, tmp_path / "b"))
    assert (found.added, found.dropped, found.changed) == ({"dev": 1}, {}, 0)
    assert found.shown["added"][0]["split"] == "dev"


def test_rows_of_seeds_that_are_gone_are_not_asked_any_more(collected: Any, tmp_path: Path) -> None:
    old = exported(collected, tmp_path / "a")
    collected.seeds("train.jsonl", SEEDS[:-2])
    collected.save()
    recipe = Recipe.load(collected.path)
    asyncio.run(collect(recipe, None, Options()))
    found = diff(old, exported(collected, tmp_path / "b"), recipe=recipe)
    assert (found.dropped, found.reasons) == ({"train": 2}, {NOT_ASKED: 2})


def test_an_edited_prompt_makes_other_rows(collected: Any, tmp_path: Path) -> None:
    old = exported(collected, tmp_path / "a")
    collected.write("answer.j2", "Otherwise: {{ text }}")
    recipe = Recipe.load(collected.path)
    asyncio.run(collect(recipe, None, Options(limit=5)))
    found = diff(old, exported(collected, tmp_path / "b"), recipe=recipe)
    assert (found.added, found.reasons) == ({"train": 5}, {NOT_ASKED: 15})


def test_rows_whose_judge_is_not_asked_yet_wait(collected: Any, tmp_path: Path) -> None:
    old = exported(collected, tmp_path / "a")
    collected.write("judge.j2", "Good? {{ steps.answer.text }}")
    collected.data["steps"].append({"name": "grade", "kind": "judge", "prompt": "judge.j2"})
    new = exported(collected, tmp_path / "b")
    assert diff(old, new, recipe=Recipe.load(collected.path)).reasons == {NO_ANSWER: 15}


def test_a_row_that_the_recipe_would_keep_now_is_said_to_be(collected: Any, tmp_path: Path) -> None:
    new = exported(collected, tmp_path / "a")
    collected.data["steps"][0]["verify"] = {"regex": {"pattern": "seed 1"}}
    found = diff(new, exported(collected, tmp_path / "b"), recipe=_without_rules(collected))
    assert found.reasons == {KEPT: 9}


def test_a_persons_word_is_a_reason(collected: Any, tmp_path: Path) -> None:
    old = exported(collected, tmp_path / "a")
    collected.data["steps"][0]["verify"] = {"regex": {"pattern": "seed 1"}}
    new = exported(collected, tmp_path / "b")
    row_id = diff(old, new).shown["dropped"][0]["row_id"]
    say(collected.path / "harvest.db", Verdict(row_id, "reject"))
    assert diff(old, new, recipe=_without_rules(collected)).reasons == {KEPT: 8, "person:rejected": 1}


def _without_rules(folder: Any) -> Recipe:
    del folder.data["steps"][0]["verify"]
    folder.save()
    return Recipe.load(folder.path)


def test_a_row_that_moved_differs_in_its_split(collected: Any, tmp_path: Path) -> None:
    old, new = exported(collected, tmp_path / "a"), exported(collected, tmp_path / "b")
    (shard,) = (new / "data").iterdir()
    shard.rename(new / "data" / shard.name.replace("train", "dev"))
    found = diff(old, new)
    assert (found.added, found.dropped, found.columns) == ({}, {}, {"split": 15})
    assert found.shown["changed"][0]["columns"] == {"split": ("train", "dev")}


def test_a_column_that_one_of_them_lacks_is_named(collected: Any, tmp_path: Path) -> None:
    old, new = exported(collected, tmp_path / "a"), exported(collected, tmp_path / "b")
    (shard,) = (new / "data").iterdir()
    pq.write_table(pq.read_table(shard).drop_columns(["score"]), shard)
    assert diff(old, new).columns == {"score": 15}
    assert diff(new, old).columns == {"score": 15}


@pytest.mark.parametrize("as_", ["nothing", "file", "other", "manifest"])
def test_what_is_no_dataset_is_refused(collected: Any, harvester: Any, tmp_path: Path, as_: str) -> None:
    old, other = exported(collected, tmp_path / "a"), tmp_path / "b"
    if as_ == "file":
        other.write_text("x")
    elif as_ != "nothing":
        other.mkdir()
        (other / "harvester.json").write_text("{" if as_ == "manifest" else '{"layout": "alpaca"}')
    code, _, err = harvester("diff", old, other)
    assert (code, err.count("\n"), str(other) in err) == (2, 1, True)
    assert ("--format messages" in err) == (as_ == "other")


def test_a_damaged_shard_is_refused(collected: Any, tmp_path: Path) -> None:
    old, new = exported(collected, tmp_path / "a"), exported(collected, tmp_path / "b")
    (shard,) = (new / "data").iterdir()
    shard.write_bytes(b"PAR1 nothing")
    with pytest.raises(BadInput, match=r"cannot be read: .*export the dataset again"):
        diff(old, new)


def test_reasons_need_the_store(collected: Any, tmp_path: Path) -> None:
    old = exported(collected, tmp_path / "a")
    collected.data["steps"][0]["verify"] = {"regex": {"pattern": "seed 1"}}
    new = exported(collected, tmp_path / "b")
    with pytest.raises(StoreUnusable):
        diff(old, new, recipe=Recipe.load(collected.path), store=tmp_path / "none.db")


def test_json_has_the_whole(collected: Any, harvester: Any, tmp_path: Path) -> None:
    old = exported(collected, tmp_path / "a")
    code, out, _ = harvester("diff", old, old, "--json")
    assert code == 0
    assert json.loads(out)["same"] is True
    assert set(json.loads(out)) >= {"rows", "added", "dropped", "changed", "columns", "reasons", "left_out", "shown"}


def test_what_curation_keeps_out_of_an_unfiltered_export_is_its_reason(
    collected: Any, provider: Any, tmp_path: Path
) -> None:
    collected.seeds("train.jsonl", ["the sea", f"sk-ant-{'Aa1' * 12}", "no"])
    collected.data["steps"][0]["verify"] = {"regex": {"pattern": "the sea"}}
    provider.answer = lambda body: body["messages"][-1]["content"].strip().splitlines()[-1]
    collected.save()
    recipe = Recipe.load(collected.path)
    asyncio.run(collect(recipe))
    export(recipe, tmp_path / "a", unfiltered=True)
    curate(recipe)
    assert export(recipe, tmp_path / "b", unfiltered=True).dropped == {"curate:secret": 1}
    assert diff(tmp_path / "a", tmp_path / "b", recipe=recipe).reasons == {"curate:secret": 1}
    assert export(recipe, tmp_path / "c").dropped == {"verify:regex": 2}


def test_rows_that_the_newer_export_was_not_asked_for_say_so(collected: Any, tmp_path: Path) -> None:
    collected.data["terms"] = {"teacher": {"license": "Llama-3.1"}}
    collected.seeds("train.jsonl", [*SEEDS, "another"])
    collected.save()
    recipe = Recipe.load(collected.path)
    asyncio.run(collect(recipe))
    export(recipe, tmp_path / "a")
    export(recipe, tmp_path / "b", only_terms="allowed")
    (reason,) = diff(tmp_path / "a", tmp_path / "b", recipe=recipe).reasons
    assert reason.startswith("terms:")


@pytest.mark.parametrize("wrong", [{"since": "then"}, {"since": 3}, {"min_score": "high"}, {"only_terms": "any"}])
def test_a_damaged_manifest_is_refused_in_one_line(collected: Any, tmp_path: Path, wrong: dict[str, Any]) -> None:
    old = exported(collected, tmp_path / "a")
    collected.data["steps"][0]["verify"] = {"regex": {"pattern": "seed 1"}}
    new = exported(collected, tmp_path / "b")
    (new / "harvester.json").write_text(json.dumps(wrong))
    with pytest.raises(BadInput, match=r"b/harvester.json: .*export the dataset again"):
        diff(old, new, recipe=Recipe.load(collected.path))
