"""A recipe of three steps beside a bare loop and NVIDIA Data Designer: requests a second, CPU, memory.

Each step asks about the answer of the one before, so nothing can be asked ahead; with 64 rows under way there is always
enough to ask. CPU is that of the client process alone, from its start to its end.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from collect_overhead import figures, median, stored
from measuring import HERE, Used, harvester, provider, report, run_measured, table, write_recipe
from peers import PEERS, installed, peer_command

STEPS = 3
PEER = "data_designer"
LEAST_RATE = 0.8  # of the bare loop's


def write_steps(folder: Path) -> None:
    """Make the benchmarks' usual recipe one of three steps."""
    recipe = json.loads((folder / "recipe.yaml").read_text(encoding="utf-8"))
    steps = [{"name": "answer", "prompt": "answer.j2"}]
    for number in range(2, STEPS + 1):
        before = steps[-1]["name"]
        template = f"Step {number}. {{{{ text }}}}\n{{{{ steps.{before}.text }}}}"
        (folder / f"step{number}.j2").write_text(template, encoding="utf-8")
        steps.append({"name": f"step{number}", "kind": "revise", "prompt": f"step{number}.j2"})
    (folder / "recipe.yaml").write_text(json.dumps({**recipe, "steps": steps}), encoding="utf-8")


def run(client: str, url: str, folder: Path, options: argparse.Namespace, rows: int) -> Used:
    """One client over `rows` seeds."""
    write_recipe(folder, url, rows, {"concurrency": options.workers})
    if client == "harvester":
        write_steps(folder)
        return run_measured(harvester("collect", folder))
    if client == "bare loop":
        command = [HERE / "bare_loop.py", url, folder / "seeds.jsonl", folder / "harvest.db", options.workers, STEPS]
        return run_measured([sys.executable, *map(str, command)])
    python = os.environ[f"HARVESTER_BENCH_{PEER.upper()}"]
    return run_measured([*peer_command(PEER, python, options.workers, url, folder), str(STEPS)])


def main() -> None:
    """Compare, interleaved."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--latency-s", type=float, default=0.05)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    version = installed(PEER, os.environ.get(f"HARVESTER_BENCH_{PEER.upper()}"))
    clients = ["bare loop", "harvester", *([PEERS[PEER].title] if version else [])]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in clients}
    for _ in range(options.repeat):
        for name, of_name in runs.items():
            with tempfile.TemporaryDirectory() as temporary, provider("--latency-s", options.latency_s) as served:
                folder = Path(temporary, "r")
                used = run(name, served.url, folder, options, options.rows)
                if name != PEERS[PEER].title:
                    count = stored(folder / "harvest.db")
                    assert count == options.rows * STEPS, f"{name} stored {count} of {options.rows * STEPS} replies"
            of_name.append(figures(used, options.rows * STEPS))
    medians = {name: median(of_name) for name, of_name in runs.items()}
    table(
        f"{options.rows:,} rows through {STEPS} steps, {options.workers} at once; medians of {options.repeat}",
        [{"client": name, **of_name} for name, of_name in medians.items()],
    )
    if not version:
        print(f"{PEERS[PEER].title}: not installed (HARVESTER_BENCH_{PEER.upper()})")
    rate = medians["harvester"]["req_per_s"] / medians["bare loop"]["req_per_s"]
    cpu = statistics.median(run["cpu_s_per_1000"] for run in runs["harvester"])
    print(f"{100 * rate:.0f} % of the bare loop's requests/s (aim: at least {100 * LEAST_RATE:.0f} %)")
    report("steps_throughput", {"runs": runs, "peer": version, "rate": rate, "cpu_s_per_1000": cpu})


if __name__ == "__main__":
    main()
