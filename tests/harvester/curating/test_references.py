"""What the seeds say the answers should be is a column of the dataset, so filters see it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from harvester.collecting import collect
from harvester.curating import curate
from harvester.exporting import export
from harvester.recipe import Recipe

KEY = "sk-ant-" + "Aa1" * 12


def test_a_key_in_a_reference_is_in_no_export(folder: Any, provider: Any, tmp_path: Path) -> None:
    provider.answer = lambda _: "the sea"
    seeds = [{"text": "leak", "reference": {"tokens": [KEY]}}, {"text": "good", "reference": "sea"}]
    folder.write("train.jsonl", "".join(json.dumps(seed) + "\n" for seed in seeds))
    folder.save()
    recipe = Recipe.load(folder.path)
    asyncio.run(collect(recipe))
    assert curate(recipe).dropped == {("secrets", "secret"): 1}
    export(recipe, tmp_path / "all", unfiltered=True)
    rows = [row for path in (tmp_path / "all").glob("data/train-*.parquet") for row in pq.read_table(path).to_pylist()]
    assert [row["reference"] for row in rows] == ['"sea"']
