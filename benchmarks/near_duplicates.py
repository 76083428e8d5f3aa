"""What finding near duplicates costs beside MinHash, what each finds, and whether a row costs more among a million.

Rows have answers of 150 to 250 words (about 1.2 kB): words by Zipf's law, a quarter of them in stock phrases that many
answers share. One row in ten is an earlier answer with some words replaced, so that the two have a Jaccard similarity
of 0.6 to 1 by their word 5-grams; exactly how similar they are is computed by Python's sets. Recall is the share of the
planted pairs of 0.8 or more of which one was dropped.

Each tool runs in a process of its own over the same file. Harvester's part is the filter `near_duplicates` over the
answers as a library; peers run where HARVESTER_BENCH_DATASKETCH and HARVESTER_BENCH_RENSA name the Python of an
environment that has them.

    python benchmarks/near_duplicates.py [--rows 10000,200000,1000000] [--peer-rows 200000]
"""

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

from measuring import HERE, Used, report, run_measured, table
from peers import SKETCHES, installed

THRESHOLD = 0.8
CLOSE, BELOW = (0.8, 0.85), (0.7, 0.8)
"""Similarities just above the threshold, where sketches miss most, and just below it, where they drop too much."""
LEAST_FASTER, LEAST_RECALL, MOST_MB, ROWS_OF_MOST = 5.0, 0.95, 2048, 200_000
COPIES = 10  # one row in so many
PHRASES = 2_000
SYLLABLES = [
    f"{a}{b}" for a in ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "st", "tr") for b in "aeiou"
]
random_ = random.Random(20)  # noqa: S311 - the same texts every time


def vocabulary() -> list[str]:
    """The frequent words are short, as they are in languages."""
    sizes = [1] * 60 + [2] * 4_000 + [3] * 30_000 + [4] * 16_000
    return list(dict.fromkeys("".join(random_.choices(SYLLABLES, k=size)) for size in sizes))


WORDS = vocabulary()
BY_ZIPF = list(accumulate(1 / (rank + 2.7) for rank in range(len(WORDS))))
STOCK = [random_.choices(WORDS, cum_weights=BY_ZIPF, k=random_.randint(6, 10)) for _ in range(PHRASES)]
STOCK_BY_ZIPF = list(accumulate(1 / (rank + 2.7) for rank in range(PHRASES)))


def text() -> list[str]:
    """The words of one answer."""
    words: list[str] = []
    many = random_.randint(150, 250)
    while len(words) < many:
        words += random_.choices(WORDS, cum_weights=BY_ZIPF, k=random_.randint(15, 35))
        words += random_.choices(STOCK, cum_weights=STOCK_BY_ZIPF)[0]
    return words[:many]


def edited(words: list[str]) -> list[str]:
    """With up to 10 words in 200 replaced."""
    words = list(words)
    for at in random_.sample(range(len(words)), random_.randint(0, len(words) // 20)):
        words[at] = f"{words[at]}x"
    return words


def write(path: Path, rows: int) -> dict[int, tuple[int, float]]:
    """Write the rows; returns the copies: number → (that of the original, their similarity)."""
    random_.seed(rows)
    copies: dict[int, tuple[int, float]] = {}
    originals: list[tuple[int, list[str]]] = []
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            if number % COPIES == COPIES - 1 and originals:
                original, words = originals.pop(random_.randrange(len(originals)))
                copy = edited(words)
                copies[number] = original, jaccard(words, copy)
                words = copy
            else:
                words = text()
                originals = [*originals[-500:], (number, words)]
            file.write(json.dumps({"id": number, "prompt": f"Question {number}?", "answer": " ".join(words)}) + "\n")
    return copies


def jaccard(one: list[str], other: list[str]) -> float:
    """Of the sets of 5-grams."""
    sets = [set(zip(words, words[1:], words[2:], words[3:], words[4:], strict=False)) for words in (one, other)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def ours(rows: Path, out: Path) -> None:
    """The filter over the file, in this process."""
    from harvester.curating.base import Example  # noqa: PLC0415 - the parent process needs none of it
    from harvester.curating.near_duplicates import NearDuplicates  # noqa: PLC0415
    from harvester.recipe import curation  # noqa: PLC0415

    class Rows:
        def __iter__(self) -> Iterator[Example]:
            with rows.open(encoding="utf-8") as file:
                for line in file:
                    row = json.loads(line)
                    name = f"{row['id']:032x}"
                    yield Example(row["id"], name, "train", name, {}, row["prompt"], row["answer"])

    found = NearDuplicates(curation.NearDuplicates(prompts=None, answers=THRESHOLD)).drops(Rows())
    out.write_text(json.dumps(list(found)), encoding="utf-8")


def compare(rows: int, peer_rows: int) -> list[dict[str, Any]]:
    """Every tool over one file, and over its first row alone: that is what starting takes."""
    tools = [("harvester", [sys.executable, __file__, "--stage"])]
    for name, peer in SKETCHES.items():
        python = os.environ.get(f"HARVESTER_BENCH_{name.upper()}")
        version = installed(name, python)
        if python and version and rows <= peer_rows:
            command = [python, str(HERE / "peers/minhash_runner.py"), name, str(THRESHOLD)]
            tools.append((f"{peer.title} {version}", command))
    results = []
    with tempfile.TemporaryDirectory(prefix="harvester-bench-") as folder:
        path, one, out = (Path(folder, name) for name in ("rows.jsonl", "one.jsonl", "dropped.json"))
        copies = write(path, rows)
        with path.open(encoding="utf-8") as file:
            one.write_text(file.readline(), encoding="utf-8")
        print(f"{rows:,} rows of {path.stat().st_size / rows / 1000:.2f} kB are written", file=sys.stderr)
        for title, command in tools:
            start = run_measured([*command, str(one), str(out)])
            used = run_measured([*command, str(path), str(out)])
            dropped = set(json.loads(out.read_text(encoding="utf-8")))
            shingling_s = json.loads(used.output)["shingling_s"] if used.output else None
            results.append(figures(title, used, start, rows) | found(dropped, copies))
            results[-1]["of it shingling"] = shingling_s and 1e6 * shingling_s / rows
    for result in results:
        result["x harvester"] = result["CPU us/row"] / results[0]["CPU us/row"]
    return results


def figures(tool: str, used: Used, start: Used, rows: int) -> dict[str, Any]:
    """What one run cost."""
    return {
        "tool": tool, "CPU us/row": 1e6 * used.cpu_s / rows,
        "without start-up": 1e6 * (used.cpu_s - start.cpu_s) / rows, "wall s": used.wall_s,
        "peak RSS MB": used.peak_rss_mb,
    }  # fmt: skip


def found(dropped: set[int], copies: dict[int, tuple[int, float]]) -> dict[str, Any]:
    """What one run found of the planted pairs: shares of those from one similarity to another."""

    def share(least: float, below: float) -> float:
        pairs = [{copy, original} for copy, (original, similarity) in copies.items() if least <= similarity < below]
        return sum(bool(dropped & pair) for pair in pairs) / max(len(pairs), 1)

    return {
        "dropped": len(dropped), "recall": share(THRESHOLD, 2), "recall {}-{}".format(*CLOSE): share(*CLOSE),
        "dropped of {}-{}".format(*BELOW): share(*BELOW),
    }  # fmt: skip


def main() -> None:
    """Compare at every size, then say it as tables and as one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", default="10000,200000,1000000", help="sizes, with commas between them")
    parser.add_argument("--peer-rows", type=int, default=ROWS_OF_MOST, help="the largest size for the peers")
    parser.add_argument("--stage", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        ours(*options.stage)
        return
    sizes = {rows: compare(rows, options.peer_rows) for rows in map(int, options.rows.split(","))}
    for rows, results in sizes.items():
        table(f"{rows:,} rows, Jaccard {THRESHOLD} of word 5-grams", results)
    own = {rows: results[0] for rows, results in sizes.items()}
    per_row = [one["without start-up"] for one in own.values()]
    faster = [one["x harvester"] for results in sizes.values() for one in results if "datasketch" in one["tool"]]
    print(
        f"\na row among {max(own):,} costs {per_row[-1] / per_row[0]:.2f} x one among {min(own):,}\n"
        f"aims: datasketch takes {LEAST_FASTER} x as long or more, recall {LEAST_RECALL} or more,"
        f" less than {MOST_MB:,} MB at {ROWS_OF_MOST:,} rows"
    )
    met = (
        all(one["recall"] >= LEAST_RECALL for one in own.values())
        and all(one["peak RSS MB"] < MOST_MB for rows, one in own.items() if rows <= ROWS_OF_MOST)
        and all(times >= LEAST_FASTER for times in faster[-1:])
    )
    report("near_duplicates", {"sizes": sizes, "growth": per_row[-1] / per_row[0], "met": met})


if __name__ == "__main__":
    main()
