"""The rows that both trainers learn from, made in a process of its own: the one who measures stays small.

Seeded chat rows; a row's answer is between a fifth and four fifths of it. Harvester's side gets them as a dataset
folder; the peer gets the very ids and labels that Harvester's renderer makes of them, in the order of Harvester's
steps, and the adapter that Harvester starts from, so that both compute the same thing.
"""

import argparse
import datetime as dt
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from finetune.adapters import add_lora, save_adapter
from finetune.batching import epoch_steps
from finetune.config import EMBEDDED, Lora
from finetune.data import CONTRACT, Row, open_dataset
from finetune.rendering import Renderer
from finetune.student import load_base

SHORTEST = 42  # tokens; the longest is an option
LEAST_ANSWER, MOST_ANSWER = 0.2, 0.8
TEMPLATE_TOKENS = 34  # what SmolLM2's template puts around a question and an answer, its own system message included
PROSE = """
the order asks for two more parts and wants them before the end of next week because the old ones no longer fit our
customer wrote that every second delivery came late so we agreed on a lower price and a fixed day please read this
letter carefully then say who sent it what was bought how many pieces are meant and when payment is due there may be
nothing to pay at all while some names occur twice with a different street or town in which case both count
"""


def words(random_: random.Random, count: int) -> str:
    """So many words of ordinary prose, near one token each."""
    vocabulary = PROSE.split()
    return " ".join(random_.choice(vocabulary) for _ in range(count))


def row(number: int, seed: int, longest: int) -> dict[str, Any]:
    """One row of the dataset's contract; its length is uniform between the bounds."""
    random_ = random.Random(f"{seed}/{number}")  # noqa: S311 - rows, not secrets
    total = random_.randint(SHORTEST, longest) - TEMPLATE_TOKENS
    answer = max(1, round(total * random_.uniform(LEAST_ANSWER, MOST_ANSWER)))
    messages = [
        {"role": "user", "content": words(random_, max(1, total - answer))},
        {"role": "assistant", "content": words(random_, answer)},
    ]
    return dict.fromkeys(CONTRACT.names) | {
        "messages": messages, "row_id": f"row{number}", "request_key": f"key{number}", "seed_id": f"seed{number}",
        "seed": "{}", "sample": 0, "accepted": True, "collected_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    }  # fmt: skip


def write_dataset(folder: Path, rows: int, longest: int) -> Path:
    """A dataset folder as `harvester export` writes it, with a train split only."""
    (folder / "data").mkdir(parents=True)
    table = pa.Table.from_pylist([row(number, 0, longest) for number in range(rows)], schema=CONTRACT)
    pq.write_table(table, folder / "data" / "train-00000-of-00001.parquet")
    notes = {
        "format": 1, "harvester": "bench", "recipe": "bench", "student": {"instruction": None}, "verify": {},
        "rows": {"train": rows}, "usd": 0.0, "collect_minutes": 0.0,
    }  # fmt: skip
    (folder / "harvester.json").write_text(json.dumps(notes), encoding="utf-8")
    return folder


def write_ids(path: Path, rows: list[Row], renderer: Renderer, max_length: int, rows_per_step: int) -> None:
    """Ids and labels as the student sees them, in the order of the first epoch's steps."""
    rendered = renderer.rows(rows, max_length)
    assert not rendered.dropped, f"rows were left out: {rendered.dropped}"
    examples = rendered.examples
    lengths = [len(example.ids) for example in examples]
    with path.open("w", encoding="utf-8") as file:
        for rows_of_step in epoch_steps(lengths, rows_per_step, seed=0, epoch=0):
            for number in rows_of_step:
                line = {"input_ids": examples[number].ids, "labels": examples[number].labels}
                file.write(json.dumps(line) + "\n")


def main() -> None:
    """Write FOLDER/dataset, FOLDER/ids.jsonl and FOLDER/adapter; print where the model lies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--longest", type=int, required=True)
    parser.add_argument("--rows-per-step", type=int, required=True)
    parser.add_argument("--max-length", type=int, required=True)
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--model", default=EMBEDDED)
    options = parser.parse_args()
    dataset = open_dataset(write_dataset(options.folder / "dataset", options.rows, options.longest))
    base = load_base(options.model)
    renderer = Renderer(base.tokenizer, base.stop_ids)
    write_ids(options.folder / "ids.jsonl", dataset.split("train"), renderer, options.max_length, options.rows_per_step)
    lora = Lora(rank=options.rank, alpha=2 * options.rank)
    where, number_type = base.model.config.name_or_path, str(base.model.dtype).removeprefix("torch.")
    save_adapter(add_lora(base.model, lora, seed=0), options.folder / "adapter")
    print(json.dumps({"model": where, "dtype": number_type}))


if __name__ == "__main__":
    main()
