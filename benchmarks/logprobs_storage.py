"""What log probabilities take on disk: the same prose by the embedded teacher with none, 1, 5 and 20 listed per token.

Each store is collected by `harvester collect` and exported by `harvester export`; bytes are those of the reply as it
came, of the reply as the store holds it, of the store's file and of the dataset's parquet files, per completion token.
`harvester.expected_logprobs` has the line through the figures of the stored replies.

    python benchmarks/logprobs_storage.py [--rows 32] [--tokens 128]
"""

import argparse
import json
import sqlite3
import tempfile
import zlib
from pathlib import Path
from typing import Any

from measuring import harvester, report, run_measured, table

LISTED = (None, 1, 5, 20)
SUBJECTS = (
    "a harbour at dawn", "how bread rises", "a lost umbrella", "the first snow", "an old map", "bees", "a tax form",
    "why glaciers move",
)  # fmt: skip
FORMS = ("a letter", "a short story", "a list of advice", "a news report")


def main() -> None:
    """Measure every number of listed tokens, streamed too, then say it as a table and as one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=32, help="answers of each store")
    parser.add_argument("--tokens", type=int, default=128, help="max_tokens")
    parser.add_argument("--listed", type=int, nargs="*", help="tokens at each place, instead of none, 1, 5 and 20")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="harvester-bench-") as folder:
        rows = [
            measured(Path(folder), options.rows, options.tokens, listed, stream=stream)
            for listed, stream in [*((one, False) for one in options.listed or LISTED), (20, True)]
        ]
    table("Bytes per completion token", rows)
    report("logprobs_storage", {"rows": rows})


def measured(folder: Path, rows: int, tokens: int, listed: int | None, *, stream: bool) -> dict[str, Any]:
    """Collect and export one store, and weigh it."""
    name = f"{'no logprobs' if listed is None else f'logprobs: {listed}'}{', streamed' if stream else ''}"
    recipe = folder / name
    write_recipe(recipe, rows, tokens, listed, stream=stream)
    run_measured(harvester("collect", recipe, "--json"))
    run_measured(harvester("export", recipe, recipe / "dataset", "--unfiltered", "--json"))
    with sqlite3.connect(recipe / "harvest.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        stored = [raw for (raw,) in connection.execute("SELECT raw FROM replies")]
    answered = sum(_completion_tokens(zlib.decompress(raw)) for raw in stored)
    sizes = {
        "as it came": sum(len(zlib.decompress(raw)) for raw in stored),
        "as stored": sum(map(len, stored)),
        "store's file": (recipe / "harvest.db").stat().st_size,
        "dataset": sum(path.stat().st_size for path in recipe.glob("dataset/data/*.parquet")),
    }
    return {"sampling": name, "tokens": answered, **{what: round(size / answered, 1) for what, size in sizes.items()}}


def _completion_tokens(raw: bytes) -> int:
    from harvester.parsing import parse  # noqa: PLC0415 - --help needs none of it

    return parse(raw).usage.output_tokens or 0


def write_recipe(folder: Path, rows: int, tokens: int, listed: int | None, *, stream: bool) -> None:
    """A recipe that asks the embedded teacher for prose, sampled from its own distribution."""
    folder.mkdir()
    seeds = [{"text": f"{FORMS[n // 8 % 4]} about {SUBJECTS[n % 8]}, number {n}"} for n in range(rows)]
    (folder / "seeds.jsonl").write_text("".join(json.dumps(seed) + "\n" for seed in seeds), encoding="utf-8")
    (folder / "answer.j2").write_text("Write {{ text }}.", encoding="utf-8")
    sampling = {"temperature": 1, "max_tokens": tokens, "logprobs": listed}
    recipe = {
        "name": "bench",
        "teacher": {
            "base_url": "embedded",
            "model": "smollm2-135m-instruct",
            "stream": stream,
            "sampling": {name: value for name, value in sampling.items() if value is not None},
        },
        "seeds": {"path": "seeds.jsonl", "license": "CC0-1.0"},
        "steps": [{"name": "answer", "prompt": "answer.j2"}],
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")  # JSON is YAML


if __name__ == "__main__":
    main()
