"""Datasets: saved ones, folders in the hub's layout, and what happens without the library or the network."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
from pyarrow import parquet

from harvester.errors import BadInput

TRAIN, TEST = [{"text": "a"}, {"text": "b"}], [{"text": "c"}]
CARD = """---
configs:
- config_name: small
  data_files: [{split: train, path: small.jsonl}]
- config_name: large
  data_files: [{split: train, path: data/*.parquet}, {split: test, path: DATA}]
---
# A dataset
"""


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def texts(seeds: list[Any]) -> list[str]:
    return [seed.data["text"] for seed in seeds]


@pytest.fixture
def saved(root: Path) -> Path:
    both = {"train": datasets.Dataset.from_list(TRAIN), "test": datasets.Dataset.from_list(TEST)}
    datasets.DatasetDict(both).save_to_disk(root / "saved")
    return root / "saved"


@pytest.fixture
def hub(root: Path) -> Path:
    """Two configs, one of them with two splits."""
    folder = root / "hub"
    (folder / "data").mkdir(parents=True)
    parquet.write_table(pa.Table.from_pylist(TRAIN), folder / "data" / "a.parquet")
    (folder / "small.jsonl").write_text('{"text": "s"}\n', encoding="utf-8")
    (folder / "test.csv").write_text("text\nc\n", encoding="utf-8")
    (folder / "README.md").write_text(CARD.replace("DATA", "test.csv"), encoding="utf-8")
    return folder


def test_a_saved_dataset_with_splits(read: Any, saved: Path) -> None:
    assert texts(read("saved", split="train")) == ["a", "b"]
    assert texts(read("saved", split="test")) == texts(read("saved/test")) == ["c"]


def test_shards_of_a_saved_dataset_are_read_in_their_order(read: Any, root: Path) -> None:
    rows = datasets.Dataset.from_dict({"text": [str(number) for number in range(30)]})
    rows.save_to_disk(root / "saved", num_shards=3)
    assert texts(read("saved")) == [str(number) for number in range(30)]


@pytest.mark.parametrize(
    ("path", "options", "says"),
    [
        ("saved", {}, "saved: has several splits; choose by split: one of train, test"),
        ("saved", {"split": "dev"}, "saved: has no split 'dev'; there are train, test"),
        ("saved", {"split": "test", "config": "x"}, "saved: a saved dataset has no configs; take config out"),
        ("saved/test", {"split": "test"}, "saved/test: is a dataset without splits; take split out"),
    ],
)
def test_a_split_of_a_saved_dataset_must_be_named_rightly(
    read: Any, saved: Path, path: str, options: Any, says: str
) -> None:
    with pytest.raises(BadInput) as error:
        read(path, **options)
    assert str(error.value).endswith(says)


@pytest.mark.parametrize(
    ("name", "raw", "says"),
    [
        ("state.json", b"{", "state.json: cannot be read as JSON"),
        ("state.json", b'{"_data_files": [{"filename": "../../../x.arrow"}]}', "is outside the recipe's folder"),
        ("state.json", b'{"_data_files": [{"filename": "gone.arrow"}]}', "there is no file"),
        ("state.json", b'{"_data_files": [{"file": 1}]}', "state.json: names no data files; save the dataset anew"),
        ("state.json", b'{"_data_files": []}', "state.json: names no data files; save the dataset anew"),
        ("data-00000-of-00001.arrow", b"none", "data-00000-of-00001.arrow: cannot be read as Arrow: "),
        ("data-00000-of-00001.arrow", b"", "data-00000-of-00001.arrow: cannot be read as Arrow: "),
    ],
)
def test_a_broken_saved_dataset_is_told_by_its_file(read: Any, saved: Path, name: str, raw: bytes, says: str) -> None:
    (saved / "test" / name).write_bytes(raw)
    with pytest.raises(BadInput) as error:
        read("saved", split="test")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_configs_and_splits_of_a_folder_as_its_card_says(read: Any, hub: Path) -> None:
    assert texts(read("hub", config="small")) == ["s"]
    assert texts(read("hub", config="large", split="train")) == ["a", "b"]
    assert texts(read("hub", config="large", split="test")) == ["c"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "hub: has several configs; choose by config: one of small, large"),
        ({"config": "huge"}, "hub: has no config 'huge'; there are small, large"),
        ({"config": "large"}, "hub: has several splits; choose by split: one of train, test"),
        ({"config": "large", "split": "dev"}, "hub: has no split 'dev'; there are train, test"),
    ],
)
def test_a_config_of_a_folder_must_be_named_rightly(read: Any, hub: Path, options: Any, says: str) -> None:
    with pytest.raises(BadInput) as error:
        read("hub", **options)
    assert str(error.value).endswith(says)


def test_files_in_other_formats_are_read_by_the_library(read: Any, root: Path) -> None:
    (root / "hub" / "data").mkdir(parents=True)
    (root / "hub" / "data" / "train.json").write_text(json.dumps(TRAIN), encoding="utf-8")
    assert texts(read("hub")) == ["a", "b"]


def test_a_card_that_names_files_elsewhere_is_refused(read: Any, hub: Path) -> None:
    (hub.parent.parent / "away.csv").write_text("text\nsecret\n", encoding="utf-8")
    (hub / "README.md").write_text(CARD.replace("DATA", str(hub.parent.parent / "away.csv")), encoding="utf-8")
    with pytest.raises(BadInput, match=r"hub: .*"):
        read("hub", config="large", split="test")


def test_a_link_to_a_folder_elsewhere_is_not_followed(read: Any, hub: Path) -> None:
    away = hub.parent.parent / "away"
    away.mkdir()
    (away / "x.csv").write_text("text\nsecret\n", encoding="utf-8")
    (hub / "linked").symlink_to(away)
    (hub / "README.md").write_text(CARD.replace("DATA", "linked/x.csv"), encoding="utf-8")
    with pytest.raises(BadInput, match=r"hub: its README.md names .*x\.csv, which is no file of the folder"):
        read("hub", config="large", split="test")


def test_the_dataset_that_harvester_exports_can_be_seeds(read: Any, root: Path) -> None:
    (root / "hub" / "data").mkdir(parents=True)
    rows = [{"messages": [{"role": "user", "content": "Hay?"}], "score": None, "row_id": "1"}]
    parquet.write_table(pa.Table.from_pylist(rows), root / "hub" / "data" / "train-00000-of-00001.parquet")
    card = "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*\n---\n# x\n"
    (root / "hub" / "README.md").write_text(card, encoding="utf-8")
    assert [seed.data for seed in read("hub")] == rows


def test_an_id_of_the_hub_that_cannot_be_reached(read: Any) -> None:
    with pytest.raises(BadInput) as error:
        read("someone/no-such-dataset")
    assert "someone/no-such-dataset: cannot be read as a dataset: " in str(error.value)
    assert "it is neither a file of the recipe's folder nor a dataset of the hub" in str(error.value)
    assert "\n" not in str(error.value)


def test_without_the_library_the_line_says_what_to_install(read: Any, hub: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    for path in ("hub", "someone/a-dataset"):
        with pytest.raises(BadInput, match=r"which needs the library `datasets`; .*: pip install -e '\.\[datasets\]'"):
            read(path)


def test_neither_tables_nor_datasets_load_torch_or_what_they_do_not_need(root: Path, hub: Path, saved: Path) -> None:
    (hub / "small.jsonl").rename(hub / "small.json")
    (hub / "README.md").write_text(
        CARD.replace("small.jsonl", "small.json").replace("DATA", "test.csv"), encoding="utf-8"
    )
    (root / "a.csv").write_text("text\nx\n", encoding="utf-8")
    code = f"""
import sys
from pathlib import Path
from harvester.recipe import Recipe
from harvester.seeds import read_seeds
from harvester.seeds_spec import Seeds
def read(path, **options):
    return list(read_seeds(recipe.model_copy(update={{"seeds": Seeds(path=path, **options)}})))
recipe = Recipe.load({str(root)!r})
read("a.csv")
assert not {{"pyarrow", "datasets", "pypdf", "regex", "tokenizers"}} & set(sys.modules)
read("saved", split="test")
assert "datasets" not in sys.modules
read("hub", config="small")
assert "datasets" in sys.modules and "torch" not in sys.modules
"""
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(root.parent / "hf"), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
