"""The exported dataset: its columns, its splits, and what is left out."""

import asyncio
import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from harvester.collecting import Options, collect
from harvester.errors import BadInput, StoreUnusable
from harvester.exporting import export
from harvester.exporting.schema import SCHEMA
from harvester.recipe import Recipe

from provider import completion  # isort: skip - a helper beside the tests


@pytest.fixture
def harvest(folder: Any, provider: Any) -> Any:
    """Answers are JSON but for seed 1 (prose) and seed 2 (cut off); the held-out set has its own bad answer."""
    folder.seeds("dev.jsonl", ["dev 0"])
    held = [{"text": "held 0", "reference": {"a": 1}}, {"text": "held 1", "reference": {"a": 2}}]
    folder.write("heldout.jsonl", "".join(json.dumps(seed) + "\n" for seed in held))
    folder.write("student.j2", "{% system %}Short.{% endsystem %}{% user %}{{ text }}{% enduser %}")
    folder.data |= {
        "dev": {"path": "dev.jsonl"},
        "heldout": {"path": "heldout.jsonl"},
        "student": {"prompt": "student.j2", "instruction": "Answer in JSON."},
    }
    folder.data["steps"][0]["verify"] = {"json_schema": {"type": "object"}}
    folder.data["seeds"]["license"] = "CC0-1.0"
    folder.save()

    def script(body: dict[str, Any], _before: int) -> Any:
        text = body["messages"][-1]["content"]
        if text.endswith("seed 2"):
            return (200, {}, completion('{"a"', finish_reason="length"))
        return (200, {}, completion("prose" if text.endswith(("seed 1", "held 1")) else '{"a": 1}'))

    provider.script = script
    return folder


def collected(harvest: Any, **options: Any) -> Recipe:
    recipe = Recipe.load(harvest.path)
    asyncio.run(collect(recipe, None, Options(**options)))
    return recipe


def read(path: Path, split: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for shard in sorted((path / "data").glob(f"{split}-*.parquet")):
        rows += pq.read_table(shard).to_pylist()
    return rows


def test_train_holds_what_was_accepted_and_test_everything(harvest: Any, tmp_path: Path) -> None:
    exported = export(collected(harvest), tmp_path / "out")
    assert dict(exported.rows) == {"train": 8, "dev": 1, "test": 2}
    assert dict(exported.dropped) == {"verify:json_schema": 1, "length": 1}
    assert all(row["accepted"] for row in read(tmp_path / "out", "train"))
    good, bad = read(tmp_path / "out", "test")
    assert (good["accepted"], bad["accepted"], bad["drop_reason"]) == (True, False, "verify:json_schema")
    assert bad["messages"][-1]["content"] == "prose"
    assert json.loads(bad["reference"]) == {"a": 2}


def test_unfiltered_writes_rejected_answers_into_train(harvest: Any, tmp_path: Path) -> None:
    exported = export(collected(harvest), tmp_path / "out", unfiltered=True)
    assert exported.rows["train"] == 10
    assert exported.rows["dev"] == 1
    rejected = [row["drop_reason"] for row in read(tmp_path / "out", "train") if not row["accepted"]]
    assert sorted(rejected) == ["length", "verify:json_schema"]


def test_a_row_has_the_students_view_and_says_where_it_came_from(harvest: Any, tmp_path: Path) -> None:
    export(collected(harvest), tmp_path / "out")
    row = read(tmp_path / "out", "train")[0]
    assert row["messages"] == [
        {"role": "system", "content": "Short."},
        {"role": "user", "content": "seed 0"},
        {"role": "assistant", "content": '{"a": 1}'},
    ]
    assert json.loads(row["seed"]) == {"text": "seed 0"}
    assert json.loads(row["sampling"]) == {"max_tokens": 50, "temperature": 0.5}
    assert row["terms"] == [
        {
            "teacher": "teacher",
            "id": "declared:Apache-2.0",
            "verdict": "allowed",
            "as_of": "",
            "basis": None,
            "accepted_by": None,
        }
    ]
    assert (row["prompt_tokens"], row["completion_tokens"], row["finish_reason"]) == (10, 5, "stop")
    assert [(check["name"], check["passed"]) for check in row["checks"]] == [("json_schema", True)]
    assert row["collected_at"].tzinfo is not None


def test_every_shard_has_the_one_schema_though_columns_are_all_null(harvest: Any, tmp_path: Path) -> None:
    export(collected(harvest), tmp_path / "out")
    for shard in (tmp_path / "out" / "data").iterdir():
        assert pq.read_schema(shard).equals(SCHEMA)


def test_load_dataset_reads_it_as_it_is(harvest: Any, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    export(collected(harvest), tmp_path / "out")
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 8, "dev": 1, "test": 2}
    assert loaded["train"].column_names == SCHEMA.names


def test_load_dataset_gives_no_older_export_of_the_same_name(harvest: Any, tmp_path: Path) -> None:
    """`datasets` keys its cache by the folder's name and card; both exports here are folders called `out`."""
    datasets = pytest.importorskip("datasets")
    cache = str(tmp_path / "cache")
    export(collected(harvest), tmp_path / "one" / "out")
    first = datasets.load_dataset(str(tmp_path / "one" / "out"), split="train", cache_dir=cache)
    harvest.write("student.j2", "{% user %}Changed: {{ text }}{% enduser %}")
    export(Recipe.load(harvest.path), tmp_path / "two" / "out")
    second = datasets.load_dataset(str(tmp_path / "two" / "out"), split="train", cache_dir=cache)
    assert first[0]["messages"][-2]["content"] == "seed 0"
    assert second[0]["messages"][-2]["content"] == "Changed: seed 0"


def test_logprobs_are_kept_as_the_api_gave_them(harvest: Any, provider: Any, tmp_path: Path) -> None:
    top = [{"token": "a", "bytes": [97], "logprob": -0.5}, {"token": "é", "bytes": [195, 169], "logprob": -2.0}]
    content = [{"token": "a", "bytes": [97], "logprob": -0.5, "top_logprobs": top}]
    choice = {"finish_reason": "stop", "message": {"content": "{}"}, "logprobs": {"content": content}}
    provider.script = lambda _body, _before: (200, {}, json.dumps({"choices": [choice]}).encode())
    harvest.data["teacher"]["sampling"]["logprobs"] = 2
    harvest.save()
    export(collected(harvest), tmp_path / "out")
    assert {(body["logprobs"], body["top_logprobs"]) for body in provider.asked} == {(True, 2)}
    assert read(tmp_path / "out", "train")[0]["logprobs"] == [
        {"bytes": b"a", "logprob": -0.5, "top": {"bytes": [b"a", "é".encode()], "logprob": [-0.5, -2.0]}}
    ]


def test_reasoning_has_a_column_of_its_own(harvest: Any, provider: Any, tmp_path: Path) -> None:
    provider.script = lambda _body, _before: (200, {}, completion("<think>\nhm\n</think>\n\n{}"))
    export(collected(harvest), tmp_path / "out")
    row = read(tmp_path / "out", "train")[0]
    assert (row["reasoning"], row["messages"][-1]["content"]) == ("hm", "{}")


def test_selection_keeps_the_first_accepted_sample_of_a_seed(harvest: Any, provider: Any, tmp_path: Path) -> None:
    provider.script = lambda _body, before: (200, {}, completion("prose" if before == 0 else f'{{"n": {before}}}'))
    harvest.data["steps"][0]["samples"] = 3
    harvest.data["teacher"]["limits"] = {"concurrency": 1}
    harvest.save()
    exported = export(collected(harvest), tmp_path / "out")
    assert {(row["sample"], row["messages"][-1]["content"]) for row in read(tmp_path / "out", "train")} == {
        (1, '{"n": 1}')
    }
    assert exported.dropped["not_selected"] == 11
    assert len(read(tmp_path / "out", "test")) == 6


def test_a_half_collected_store_can_be_exported(harvest: Any, tmp_path: Path) -> None:
    exported = export(collected(harvest, limit=4), tmp_path / "out")
    assert (exported.rows["train"], exported.waiting) == (2, 9)


def test_a_failed_held_out_row_stays_in_the_test_split_as_an_empty_answer(
    harvest: Any, provider: Any, tmp_path: Path
) -> None:
    provider.script = lambda _body, _before: (400, {}, b'{"error": {"message": "no"}}')
    export(collected(harvest), tmp_path / "out")
    assert [row["messages"][-1]["content"] for row in read(tmp_path / "out", "test")] == ["", ""]
    assert read(tmp_path / "out", "train") == []


def test_the_same_store_gives_the_same_bytes(harvest: Any, tmp_path: Path) -> None:
    recipe = collected(harvest)
    export(recipe, tmp_path / "one")
    export(recipe, tmp_path / "two")
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) == 5
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_an_export_replaces_a_dataset_and_nothing_else(harvest: Any, tmp_path: Path) -> None:
    recipe = collected(harvest)
    export(recipe, tmp_path / "out")
    export(recipe, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["out", "recipe"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(BadInput, match="is not a dataset of Harvester's"):
        export(recipe, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_files_of_others_in_a_dataset_are_not_deleted(harvest: Any, tmp_path: Path) -> None:
    recipe = collected(harvest)
    export(recipe, tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match=r"holds notes\.txt, which an export would delete"):
        export(recipe, tmp_path / "out")
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_a_row_that_the_next_run_asks_again_is_no_wrong_answer(harvest: Any, provider: Any, tmp_path: Path) -> None:
    harvest.data["teacher"]["max_attempts"] = 1
    harvest.save()
    provider.script = lambda _body, _before: (500, {}, b"{}")
    exported = export(collected(harvest), tmp_path / "out")
    assert (exported.waiting, sum(exported.rows.values())) == (13, 0)


def test_a_damaged_reply_is_said_so_and_not_exported(harvest: Any, tmp_path: Path) -> None:
    recipe = collected(harvest)
    connection = sqlite3.connect(harvest.path / "harvest.db")
    with connection:
        connection.execute("UPDATE replies SET raw = x'00ff' WHERE request_id = 1")
    connection.close()
    with pytest.raises(StoreUnusable, match=r"is damaged .*harvester verify"):
        export(recipe, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_failing_export_leaves_the_old_dataset(harvest: Any, tmp_path: Path) -> None:
    recipe = collected(harvest)
    export(recipe, tmp_path / "out")
    before = read(tmp_path / "out", "train")
    harvest.write("student.j2", "{{ nothing_of_that_name }}")
    with pytest.raises(BadInput, match="nothing_of_that_name"):
        export(Recipe.load(harvest.path), tmp_path / "out")
    assert read(tmp_path / "out", "train") == before


def test_nothing_collected_is_said_so(folder: Any, tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="harvester collect"):
        export(Recipe.load(folder.path), tmp_path / "out")


def notes(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "harvester.json").read_text(encoding="utf-8"))
    return found


def test_the_manifest_says_who_answered_and_what_became_of_it(harvest: Any, provider: Any, tmp_path: Path) -> None:
    export(collected(harvest), tmp_path / "out")
    found = notes(tmp_path / "out")
    assert found["format"] == 1
    assert found["teacher"] == {
        "name": "teacher",
        "model": "toy-1",
        "base_url": provider.url,
        "license": "Apache-2.0",
    }
    assert [(one["split"], one["path"], one["license"]) for one in found["seeds"]] == [
        ("train", "train.jsonl", "CC0-1.0"),
        ("dev", "dev.jsonl", None),
        ("test", "heldout.jsonl", None),
    ]
    for one in found["seeds"]:
        assert one["sha256"] == hashlib.sha256((harvest.path / one["path"]).read_bytes()).hexdigest()
    assert found["recipe_sha256"] == hashlib.sha256((harvest.path / "recipe.yaml").read_bytes()).hexdigest()
    assert found["teachers"] == [found["teacher"]]
    assert found["terms"] == [
        {
            "teacher": "teacher",
            "id": "declared:Apache-2.0",
            "verdict": "allowed",
            "as_of": "",
            "source": "claimed by the user, not checked",
            "obligations": [],
            "show": [],
            "pass_on": [],
            "name_prefix": None,
            "basis": None,
            "accepted_by": None,
        }
    ]
    assert (found["asked"], found["accepted"], found["unfiltered"], found["picked"]) == (11, 9, False, True)
    assert found["dropped"] == {"length": 1, "verify:json_schema": 1}


def test_rows_that_wait_for_their_answer_count_as_not_asked(harvest: Any, tmp_path: Path) -> None:
    export(collected(harvest, limit=4), tmp_path / "out")
    assert (notes(tmp_path / "out")["asked"], notes(tmp_path / "out")["accepted"]) == (4, 2)


def test_an_unfiltered_export_says_so(harvest: Any, tmp_path: Path) -> None:
    recipe = collected(harvest)
    export(recipe, tmp_path / "out", unfiltered=True)
    assert notes(tmp_path / "out")["unfiltered"] is True
    assert "unfiltered export" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    export(recipe, tmp_path / "out")
    assert "unfiltered export" not in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_naming_rules_leave_with_the_dataset(harvest: Any, tmp_path: Path) -> None:
    harvest.data["terms"] = {"teacher": {"license": "Llama-3.1"}}
    harvest.save()
    export(collected(harvest), tmp_path / "out")
    (terms,) = notes(tmp_path / "out")["terms"]
    assert (terms["name_prefix"], terms["show"]) == ("Llama", ["Built with Llama"])
    assert "llama3_1/license" in terms["pass_on"][0]
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "a student's card shows: Built with Llama" in card


def test_a_store_older_than_the_naming_rules_still_has_them(harvest: Any, tmp_path: Path) -> None:
    harvest.data["terms"] = {"teacher": {"license": "Llama-3.1"}}
    harvest.save()
    recipe = collected(harvest)
    export(recipe, tmp_path / "new")
    connection = sqlite3.connect(harvest.path / "harvest.db")
    with connection:
        (text,) = connection.execute("SELECT terms FROM teachers").fetchone()
        older = {key: value for key, value in json.loads(text).items() if key not in ("name_prefix", "show", "pass_on")}
        assert len(older) == len(json.loads(text)) - 3
        connection.execute("UPDATE teachers SET terms = ?", (json.dumps(older),))
    connection.close()
    export(recipe, tmp_path / "old")
    assert notes(tmp_path / "old") == notes(tmp_path / "new")
