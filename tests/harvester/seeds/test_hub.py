"""A dataset's id as seeds, over real HTTP: what of the hub is asked for, and what becomes of it."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pyarrow as pa
import pytest
from huggingface_hub import constants
from pyarrow import parquet

from harvester.errors import BadInput
from harvester.recipe import Recipe
from harvester.records import Seed
from harvester.seeds import read_seeds
from harvester.seeds.hub import BATCH_ROWS
from harvester.seeds.reading import files_digest

from fake_hub import TOKEN, Hub, serving  # isort: skip - a helper beside the tests

REPO = "ann/questions"
CARD = b"""---
configs:
- config_name: small
  data_files: [{split: train, path: small.parquet}]
- config_name: large
  data_files: [{split: train, path: data/train-*}, {split: test, path: test.parquet}]
---
# Questions
"""
Read = Callable[..., list[Seed]]


def table(*texts: str) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist([{"text": text, "marks": [1, 2]} for text in texts]), file)
    return file.getvalue()


FILES = {
    "README.md": CARD,
    "small.parquet": table("s", "t"),
    "data/train-00000-of-00002.parquet": table("a", "b"),
    "data/train-00001-of-00002.parquet": table("c"),
    "test.parquet": table("d"),
}
LINES = b'{"text": "s", "reference": {"n": 7}}\n{"text": "t", "reference": {"n": 8}}\n'


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving(Hub()) as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        template = running.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", running.url)
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        huggingface_hub.HfFileSystem.clear_instance_cache()
        running.create(REPO, files=FILES)
        running.create("ann/lines", files={"train.jsonl": LINES})
        yield running
        huggingface_hub.HfFileSystem.clear_instance_cache()


def data(seeds: list[Seed]) -> list[dict[str, Any]]:
    return [seed.data for seed in seeds]


def texts(seeds: list[Seed]) -> list[str]:
    return [seed.data["text"] for seed in seeds]


def test_the_rows_of_a_config_and_split_are_seeds(hub: Hub, read: Read) -> None:
    assert texts(read(REPO, config="large", split="train")) == ["a", "b", "c"]
    assert texts(read(REPO, config="large", split="test")) == ["d"]
    (first, _) = read(REPO, config="small")
    assert (first.data, first.split) == ({"text": "s", "marks": [1, 2]}, "train")


@pytest.mark.parametrize(("name", "raw"), [("train.jsonl", LINES), ("train.csv", b"text,reference\ns,7\nt,8\n")])
def test_a_dataset_without_a_card_is_read_by_its_files(hub: Hub, read: Read, name: str, raw: bytes) -> None:
    hub.create("ann/bare", files={name: raw})
    assert texts(read("ann/bare")) == ["s", "t"]


def test_columns_are_renamed_and_rows_limited(hub: Hub, read: Read) -> None:
    found = read(REPO, config="large", split="train", columns={"question": "text"}, limit=2)
    assert data(found) == [{"question": "a", "marks": [1, 2]}, {"question": "b", "marks": [1, 2]}]


def test_shards_behind_the_limit_are_not_fetched(hub: Hub, read: Read) -> None:
    shards = [table(*(f"{shard}-{number}" for number in range(2 * BATCH_ROWS))) for shard in range(2)]
    hub.create("ann/long", files={f"train-0000{shard}.parquet": raw for shard, raw in enumerate(shards)})
    assert texts(read("ann/long", limit=2)) == ["0-0", "0-1"]
    fetched = [asked for asked in hub.asked if asked.startswith("GET") and "/resolve/" in asked]
    assert any("train-00000" in asked for asked in fetched)
    assert not any("train-00001" in asked for asked in fetched)


def test_seeds_are_the_same_as_from_files_of_ones_own(hub: Hub, read: Read, root: Path) -> None:
    (root / "own.jsonl").write_bytes(LINES)
    assert read("ann/lines") == read("own.jsonl")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, f"{REPO}: has several configs; choose by config: one of small, large"),
        ({"config": "huge"}, f"{REPO}: has no config 'huge'; there are small, large"),
        ({"config": "large"}, f"{REPO}: has several splits; choose by split: one of train, test"),
        ({"config": "large", "split": "dev"}, f"{REPO}: has no split 'dev'; there are train, test"),
    ],
)
def test_a_config_or_split_must_be_named_rightly(hub: Hub, read: Read, options: Any, says: str) -> None:
    with pytest.raises(BadInput) as error:
        read(REPO, **options)
    assert str(error.value) == says


def test_a_dataset_that_is_not_there_is_said_so(hub: Hub, read: Read) -> None:
    with pytest.raises(BadInput) as error:
        read("ann/nothing")
    assert "ann/nothing: cannot be read as a dataset: " in str(error.value)
    assert "nor a dataset of the hub" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_private_dataset_takes_the_users_token(hub: Hub, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.create("ann/secret", private=True, files={"train.jsonl": b'{"text": "own"}\n'})
    with pytest.raises(BadInput, match="ann/secret: cannot be read as a dataset"):
        read("ann/secret")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert data(read("ann/secret")) == [{"text": "own"}]


def test_a_row_that_json_cannot_hold_is_told_with_its_dataset(hub: Hub, read: Read) -> None:
    file = io.BytesIO()
    parquet.write_table(pa.table({"text": ["a"], "raw": pa.array([b"\xff"])}), file)
    hub.create("ann/raw", files={"train.parquet": file.getvalue()})
    with pytest.raises(BadInput, match=r"^ann/raw: .*raw"):
        read("ann/raw")


def test_a_file_that_is_broken_is_told_with_its_dataset(hub: Hub, read: Read) -> None:
    hub.create("ann/broken", files={"train.parquet": b"PAR1 and no more"})
    with pytest.raises(BadInput) as error:
        read("ann/broken")
    assert str(error.value).startswith("ann/broken: cannot be read as a dataset: ")
    assert "nor a dataset of the hub" not in str(error.value)


def publish(hub: Hub, more: bytes) -> None:
    """One more commit; this process forgets what it knew of the hub, as another one would know nothing."""
    hub.commit(hub.repos["ann/lines"], "more", {"train.jsonl": LINES + more})
    huggingface_hub.HfFileSystem.clear_instance_cache()


def test_a_new_revision_is_another_plan_and_the_same_one_is_not(hub: Hub, stated: Callable[..., Recipe]) -> None:
    recipe = stated("ann/lines")
    before = files_digest(recipe)
    assert files_digest(recipe) == before
    publish(hub, b'{"text": "u"}\n')
    assert files_digest(recipe) != before
    assert texts(list(read_seeds(recipe))) == ["s", "t", "u"]


def test_a_recipe_collects_from_a_hub_and_asks_only_what_is_new(
    hub: Hub, folder: Any, provider: Any, harvester: Any
) -> None:
    folder.data["seeds"] = {"path": "ann/lines", "license": "CC0-1.0"}
    folder.save()
    code, out, err = harvester("check", folder.path, "--json")
    assert code == 0, err
    assert json.loads(out)["seeds"] == 2
    assert harvester("collect", folder.path)[0] == 0
    publish(hub, b'{"text": "u"}\n')
    assert harvester("collect", folder.path)[0] == 0
    asked = [body["messages"][-1]["content"].splitlines()[-1] for body in provider.asked]
    assert sorted(asked) == ["s", "t", "u"]
