"""`harvester store`: what is said, and that a dataset is the same before and after."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from harvester.collecting import collect
from harvester.recipe import Recipe
from harvester.store import StoreWriter
from harvester.store.schema import REVISIONS

SEEDS = 100


@pytest.fixture
def collected(folder: Any) -> Path:
    folder.seeds("train.jsonl", [f"seed {number}" for number in range(SEEDS)])
    folder.save()
    asyncio.run(collect(Recipe.load(folder.path)))
    path: Path = folder.path
    return path


def dataset(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def test_a_dataset_is_the_same_to_the_byte_before_and_after_compacting(
    harvester: Any, collected: Path, tmp_path: Path
) -> None:
    assert harvester("export", collected, tmp_path / "before")[0] == 0
    code, out, _ = harvester("store", "compact", collected)
    assert code == 0
    assert out.startswith(f"{collected}/harvest.db: ")
    assert harvester("export", collected, tmp_path / "after")[0] == 0
    assert dataset(tmp_path / "before") == dataset(tmp_path / "after")
    assert harvester("verify", collected / "harvest.db")[0] == 0


def test_every_reader_reads_what_was_compacted(harvester: Any, collected: Path) -> None:
    harvester("store", "compact", collected)
    with sqlite3.connect(collected / "harvest.db") as connection:
        assert connection.execute("SELECT count(*) FROM dictionaries").fetchone()[0]
        row_id = connection.execute("SELECT row_id FROM rows").fetchone()[0]
    connection.close()
    code, out, _ = harvester("trace", row_id, "--recipe", collected, "--json")
    assert code == 0
    assert json.loads(json.loads(out)["reply"]["raw"])["choices"]
    assert harvester("parse", collected)[0] == 0
    assert harvester("status", collected)[0] == 0


def test_info_is_of_a_recipe_or_of_a_file(harvester: Any, collected: Path) -> None:
    found = [
        json.loads(harvester("store", "info", what, "--json")[1])
        for what in (collected, collected / "recipe.yaml", collected / "harvest.db")
    ]
    assert found[0] == found[1] == found[2]
    assert found[0]["counts"]["rows"] == SEEDS
    assert found[0]["schema"] == REVISIONS[-1]
    _, out, _ = harvester("store", "info", collected)
    assert f"{SEEDS} rows, {SEEDS} requests, 1 run, {SEEDS} replies" in out
    assert "per 1,000 rows" in out
    assert "`harvester store compact`: to about" in out
    assert "(estimated" in harvester("store", "info", collected, "--estimate")[1]


def test_compacting_beside_a_collection_is_refused_in_one_line(harvester: Any, collected: Path) -> None:
    with StoreWriter.open(collected / "harvest.db"):
        code, out, err = harvester("store", "compact", collected)
        assert "in use by process" in harvester("store", "info", collected)[1]
    assert (code, out, err.count("\n")) == (6, "", 1)
    assert "in use by process" in err


def test_without_a_store_both_say_so(harvester: Any, folder: Any) -> None:
    for command in ("info", "compact"):
        code, _, err = harvester("store", command, folder.path)
        assert code == 6
        assert "no store there yet; `harvester collect` makes it" in err
    assert not (folder.path / "harvest.db").exists()
