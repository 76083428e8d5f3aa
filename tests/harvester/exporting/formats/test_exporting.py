"""Whole exports in every format: the files, what `datasets` reads of them, and what is refused."""

import asyncio
import json
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from harvester.collecting import Options, collect
from harvester.errors import BadInput
from harvester.exporting import export
from harvester.exporting.formats import FORMATS, NAMES
from harvester.recipe import Recipe
from harvester.recipe.parts import FormatName

from provider import completion  # isort: skip - a helper beside the tests

HARD = 'قال: "نعم"\n=1+1 🙂'
ONE_FILE = [name for name in FORMATS if name != "preference"]


@pytest.fixture
def recipe(folder: Any, provider: Any) -> Recipe:
    """Two answers to each question; one of each differs in worth. Questions and answers hold what files trip over."""
    folder.seeds("train.jsonl", [f"{HARD} {number}" for number in range(3)])
    folder.seeds("dev.jsonl", ["dev 0"])
    folder.seeds("heldout.jsonl", ["held 0"])
    folder.write("answer.j2", "{% system %}Short.{% endsystem %}{% user %}{{ text }}{% enduser %}")
    folder.data |= {"dev": {"path": "dev.jsonl"}, "heldout": {"path": "heldout.jsonl"}}
    folder.data["steps"][0] |= {"samples": 2, "verify": {"regex": {"pattern": "^="}}}
    folder.data["teacher"]["limits"] = {"concurrency": 1}
    folder.save()
    provider.script = lambda _body, before: (200, {}, completion(f"={HARD}" if before == 0 else "no"))
    loaded = Recipe.load(folder.path)
    asyncio.run(collect(loaded, None, Options()))
    return loaded


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", FORMATS)
def test_datasets_opens_every_format(recipe: Recipe, name: str, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    exported = export(recipe, tmp_path / "out", format=name)
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == dict(exported.rows)
    assert exported.rows["train"] == 3
    assert HARD in json.dumps(loaded["train"].to_list(), ensure_ascii=False).replace("\\n", "\n").replace('\\"', '"')


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_store_gives_the_same_bytes(recipe: Recipe, name: str, tmp_path: Path) -> None:
    export(recipe, tmp_path / "one", format=name)
    export(recipe, tmp_path / "two", format=name)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


@pytest.mark.parametrize("name", ONE_FILE)
def test_a_format_has_its_files_and_the_card_and_no_parquet(recipe: Recipe, name: str, tmp_path: Path) -> None:
    export(recipe, tmp_path / "out", format=name)
    suffix = "csv" if name == "csv" else "jsonl"
    beside = {"llama-factory": {"dataset_info.json"}, "axolotl": {"axolotl.yaml"}}.get(name, set())
    wanted = {"README.md", "harvester.json", *(f"{split}.{suffix}" for split in ("train", "dev", "test")), *beside}
    assert set(files_of(tmp_path / "out")) == wanted
    notes = json.loads((tmp_path / "out" / "harvester.json").read_text(encoding="utf-8"))
    assert (notes["layout"], notes["rows"]) == (name, {"train": 3, "dev": 1, "test": 2})
    assert f"`{name}`" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_csv_is_read_back_by_the_standard_reader(recipe: Recipe, tmp_path: Path) -> None:
    import csv

    export(recipe, tmp_path / "out", format="csv")
    with (tmp_path / "out" / "train.csv").open(encoding="utf-8-sig", newline="") as file:
        first = next(csv.DictReader(file))
    assert (first["system"], first["prompt"], first["answer"]) == ("Short.", f"{HARD} 0", f"'={HARD}")
    assert (first["reasoning"], first["accepted"]) == ("", "True")


def test_llama_factory_is_told_of_every_file_and_of_pairs(recipe: Recipe, folder: Any, tmp_path: Path) -> None:
    folder.data["export"] = {"preference": True, "format": "llama-factory"}
    folder.save()
    exported = export(Recipe.load(folder.path), tmp_path / "out")
    described = json.loads((tmp_path / "out" / "dataset_info.json").read_text(encoding="utf-8"))
    assert described["toy"] == {
        "file_name": "train.jsonl",
        "formatting": "sharegpt",
        "columns": {"messages": "conversations"},
    }
    assert described["toy_preference"]["ranking"] is True
    assert {entry["file_name"] for entry in described.values()} == {
        path.name for path in (tmp_path / "out").glob("*.jsonl")
    }
    (pair, *_) = lines(tmp_path / "out" / "preference-train.jsonl")
    assert (pair["chosen"]["value"], pair["rejected"]["value"]) == (f"={HARD}", "no")
    assert exported.pairs["train"] == 3


def test_axolotls_part_of_a_configuration_names_the_files(recipe: Recipe, tmp_path: Path) -> None:
    export(recipe, tmp_path / "out", format="axolotl")
    part = yaml.safe_load((tmp_path / "out" / "axolotl.yaml").read_text(encoding="utf-8"))
    (data,) = part["datasets"]
    assert (data["path"], data["type"], data["field_messages"]) == ("./train.jsonl", "chat_template", "messages")
    assert part["test_datasets"][0]["path"] == "./dev.jsonl"


def test_the_command_line_wins_over_the_recipe(recipe: Recipe, folder: Any, harvester: Any, tmp_path: Path) -> None:
    folder.data["export"] = {"format": "alpaca"}
    folder.save()
    code, out, _ = harvester("export", folder.path, tmp_path / "out", "--json")
    assert (code, json.loads(out)["format"]) == (0, "alpaca")
    code, out, _ = harvester("export", folder.path, tmp_path / "out", "--format", "messages", "--json")
    assert (code, json.loads(out)["format"]) == (0, "messages")
    assert not (tmp_path / "out" / "train.jsonl").exists()


def test_an_unknown_format_is_refused_with_the_one_that_was_meant(
    recipe: Recipe, harvester: Any, tmp_path: Path
) -> None:
    code, _, err = harvester("export", recipe.path, tmp_path / "out", "--format", "alpca")
    assert (code, "did you mean alpaca?" in err, err.count("\n")) == (2, True, 1)
    assert not (tmp_path / "out").exists()


def test_pairs_of_a_recipe_that_asks_once_are_refused(folder: Any, tmp_path: Path) -> None:
    folder.seeds("train.jsonl", ["one"])
    folder.save()
    loaded = Recipe.load(folder.path)
    asyncio.run(collect(loaded, None, Options()))
    with pytest.raises(BadInput, match=r"steps\.0\.samples: .*ask for 2 or more"):
        export(loaded, tmp_path / "out", format="preference")
    assert not (tmp_path / "out").exists()


def test_pairs_of_answers_of_one_worth_are_refused(recipe: Recipe, folder: Any, tmp_path: Path) -> None:
    del folder.data["steps"][0]["verify"]
    folder.save()
    with pytest.raises(BadInput, match="no two answers to one question differ in worth"):
        export(Recipe.load(folder.path), tmp_path / "out", format="preference")


def test_the_recipe_and_the_exporter_know_the_same_formats() -> None:
    assert set(get_args(FormatName)) == set(NAMES)
