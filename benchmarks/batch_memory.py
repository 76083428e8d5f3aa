"""What collecting in batches holds in memory: the same recipe with few requests and with a whole file of them.

Sending and taking in are a process each (`collect --batch --no-wait`, twice). Prompts and answers are about 4 kB, so
that 50,000 of them fill the largest file that OpenAI takes. The provider is the tests' own, in a process of its own: a
child's peak begins with what its parent held.

    python benchmarks/batch_memory.py [--requests 5000 50000] [--bytes 3800]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measuring import HERE, harvester, report, run_measured, table, write_recipe

sys.path.insert(0, str(HERE.parent / "tests"))
from batch_provider import BatchProvider, serving_batches


def main() -> None:
    """Measure every size, then say it as a table and as one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--requests", type=int, nargs="+", default=[5_000, 50_000], help="of one batch, each time")
    parser.add_argument("--bytes", type=int, default=3_800, help="of a prompt, and of an answer")
    parser.add_argument("--serve", action="store_true", help="be the provider")
    options = parser.parse_args()
    if options.serve:
        serve(options.bytes)
        return
    rows = [row for requests in options.requests for row in measured(requests, options.bytes)]
    table("One batch", rows)
    report("batch_memory", {"bytes": options.bytes, "rows": rows, "ratios": ratios(rows)})


def serve(size: int) -> None:
    """Be the provider until nobody listens; its answers begin as the prompts do, so that no two are alike."""
    provider = BatchProvider(answer=lambda body: str(body["messages"][0]["content"])[:20].ljust(size, "y"))
    provider.looks_until_done = 0
    with serving_batches(provider):
        print(provider.url, flush=True)
        sys.stdin.read()


@contextmanager
def served(size: int) -> Iterator[str]:
    """The URL of a provider in another process."""
    command = [sys.executable, __file__, "--serve", "--bytes", str(size)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.communicate()


def measured(requests: int, size: int) -> list[dict[str, Any]]:
    """Send a batch, and take it in."""
    with tempfile.TemporaryDirectory(prefix="harvester-bench-") as folder, served(size) as url:
        recipe = write_recipe(Path(folder) / "recipe", url, 0, {})
        lines = (json.dumps({"text": f"{number} ".ljust(size, "x")}) + "\n" for number in range(requests))
        with (recipe / "seeds.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(lines)
        command = harvester("collect", recipe, "--batch", "--no-wait", "--json")
        used = {what: run_measured(command) for what in ("planned and sent", "taken in")}
        answered = json.loads(used["taken in"].output.splitlines()[-1])["answered"]
    if answered != requests:
        raise RuntimeError(f"{answered} of {requests} answered")
    return [
        {"requests": requests, "what": what, "peak MB": one.peak_rss_mb, "CPU s": one.cpu_s, "wall s": one.wall_s}
        for what, one in used.items()
    ]


def ratios(rows: list[dict[str, Any]]) -> dict[str, float]:
    """How much more memory the last size takes than the first, in each of the two processes."""
    by_what: dict[str, list[float]] = {}
    for row in rows:
        by_what.setdefault(row["what"], []).append(row["peak MB"])
    return {what: round(peaks[-1] / peaks[0], 2) for what, peaks in by_what.items()}


if __name__ == "__main__":
    main()
