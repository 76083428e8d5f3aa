"""What a request costs Harvester beside the bare loop, and whether a thousand of them keep a slow teacher busy.

CPU is that of the client process alone, from its start to its end. Runs are interleaved (bare, Harvester, bare, …) and
the medians compared, so that what else the machine does meets both.
"""

import argparse
import os
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from measuring import HERE, Used, harvester, provider, report, run_measured, table, write_recipe
from peers import PEERS, installed, peer_command

MOST_CPU = 2.0  # times the bare loop's
LEAST_RATE = 0.85  # of the bare loop's
LEAST_OF_IDEAL = 0.9
MANY, SLOW_S, SPREAD = 1000, 1.0, 0.8
RAMP_S = 2.0
"""Nothing before this counts as steady: the slowest first answer comes after 1.8 s."""


def bare(url: str, folder: Path, workers: int) -> Used:
    """The bare loop over the recipe's own seeds."""
    command = [HERE / "bare_loop.py", url, folder / "seeds.jsonl", folder / "bare.db", workers]
    return run_measured([sys.executable, *map(str, command)])


def collect(folder: Path) -> Used:
    """`harvester collect` as a user runs it: from nothing, so with migrating, planning and judging."""
    return run_measured(harvester("collect", folder))


def again(folder: Path) -> Used:
    """The same command once everything is answered: start-up without a request."""
    return run_measured(harvester("collect", folder))


def stored(database: Path) -> int:
    """How many replies a run left."""
    connection = sqlite3.connect(database)
    count = connection.execute("SELECT count(*) FROM replies").fetchone()[0]
    connection.close()
    return int(count)


def figures(used: Used, requests: int) -> dict[str, float]:
    """What a run is compared by."""
    return {
        "req_per_s": requests / used.wall_s,
        "cpu_s_per_1000": 1000 * used.cpu_s / requests,
        "peak_rss_mb": used.peak_rss_mb,
        "wall_s": used.wall_s,
    }


def median(runs: list[dict[str, float]]) -> dict[str, float]:
    """Column by column."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def compare(options: argparse.Namespace) -> None:
    """Harvester next to the bare loop, interleaved."""
    requests, workers = options.requests, options.workers
    runs: dict[str, list[dict[str, float]]] = {"bare loop": [], "harvester": []}
    idle: list[Used] = []
    provider_cpu_s = []
    for _ in range(options.repeat):
        for name, of_name in runs.items():
            with tempfile.TemporaryDirectory() as temporary, provider("--latency-s", options.latency_s) as served:
                folder = write_recipe(Path(temporary, "r"), served.url, requests, {"concurrency": workers})
                used = bare(served.url, folder, workers) if name == "bare loop" else collect(folder)
                database = folder / ("bare.db" if name == "bare loop" else "harvest.db")
                assert stored(database) == requests, f"{name} stored {stored(database)} of {requests} replies"
                of_name.append(figures(used, requests))
                if name == "harvester":
                    idle.append(again(folder))
            provider_cpu_s.append(1000 * served.stats["cpu_s"] / requests)
    medians = {name: median(of_name) for name, of_name in runs.items()}
    ratio_cpu = medians["harvester"]["cpu_s_per_1000"] / medians["bare loop"]["cpu_s_per_1000"]
    ratio_rate = medians["harvester"]["req_per_s"] / medians["bare loop"]["req_per_s"]
    table(
        f"{requests:,} requests, {workers} at once, {1000 * options.latency_s:.0f} ms; medians of {options.repeat}",
        [{"client": name, **of_name} for name, of_name in medians.items()],
    )
    start = statistics.median(used.cpu_s for used in idle)
    print(
        f"CPU {ratio_cpu:.2f} x the bare loop (aim: at most {MOST_CPU}), {100 * ratio_rate:.0f} % of its requests/s "
        f"(aim: at least {100 * LEAST_RATE:.0f} %)\n"
        f"a run with nothing to ask takes {start:.2f} CPU-s; it is included above, and so is planning.\n"
        f"the provider itself took {statistics.median(provider_cpu_s):.3f} CPU-s per 1,000"
    )
    report(
        "collect_overhead",
        {
            "requests": requests, "workers": workers, "latency_s": options.latency_s, "repeat": options.repeat,
            "runs": runs, "start_cpu_s": start, "ratio_cpu": ratio_cpu, "ratio_rate": ratio_rate,
            "met": ratio_cpu <= MOST_CPU and ratio_rate >= LEAST_RATE,
        },
    )  # fmt: skip


def slow_teacher(options: argparse.Namespace) -> None:
    """A thousand at once at a second each: is the ideal rate reached between ramp and tail?"""
    requests, many = options.slow_requests, options.slow_workers
    with (
        tempfile.TemporaryDirectory() as temporary,
        provider("--latency-s", SLOW_S, "--spread", SPREAD) as served,
    ):
        used = collect(write_recipe(Path(temporary, "r"), served.url, requests, {"concurrency": many}))
    last_asked_s, last_s = served.stats["last_s"]["asked"], served.stats["last_s"]["replied"]
    steady_s = max(last_asked_s - RAMP_S, 1e-9)
    rate, ideal = served.between("replied", RAMP_S, last_asked_s) / steady_s, many / SLOW_S
    whole = requests / last_s
    row = {
        "steady req/s": rate, "of ideal": rate / ideal, "steady s": steady_s, "first to last answer req/s": whole,
        "most in flight": served.stats["peak_in_flight"], "CPU s per 1,000": 1000 * used.cpu_s / requests,
        "peak RSS MB": used.peak_rss_mb,
    }  # fmt: skip
    table(
        f"{requests:,} requests, {many:,} at once, {SLOW_S:.0f} s ± {100 * SPREAD:.0f} %: ideal {ideal:,.0f}/s",
        [{"client": "harvester", **row}],
    )
    print(
        f"steady: from {RAMP_S:.0f} s after the first request to the last one's send at {last_asked_s:.1f} s; the last "
        f"answer came at {last_s:.1f} s (aim: at least {100 * LEAST_OF_IDEAL:.0f} % of ideal)"
    )
    report("slow_teacher", {"requests": requests, "workers": many, **row, "met": rate >= LEAST_OF_IDEAL * ideal})


def peers(options: argparse.Namespace) -> None:
    """What others take for the same prompts, where they are installed; a run of one prompt tells start-up apart."""
    rows = [_row("harvester", "Harvester", options, lambda _, folder: harvester("collect", folder))]
    for name, peer in PEERS.items():
        python = os.environ.get(f"HARVESTER_BENCH_{name.upper()}")
        version = installed(name, python)
        if python is None or version is None:
            rows.append({**dict.fromkeys(rows[0]), "client": peer.title, "req/s": "not installed"})
            continue
        command = partial(peer_command, name, python, options.workers)
        rows.append(_row(name, f"{peer.title} {version}", options, command))
    table(f"{options.peer_requests:,} requests, {options.workers} at once; req/s with start-up", rows)
    report("peers", {"requests": options.peer_requests, "rows": rows})


def _row(
    name: str, title: str, options: argparse.Namespace, command: Callable[[str, Path], Sequence[str]]
) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(
        ("client", "req/s", "CPU s per 1,000", "start-up CPU s", "without it", "peak RSS MB", "asked")
    )
    row["client"] = title
    runs = {}
    for requests in (1, options.peer_requests):
        with tempfile.TemporaryDirectory() as temporary, provider("--latency-s", options.latency_s) as served:
            folder = write_recipe(Path(temporary, "r"), served.url, requests, {"concurrency": options.workers})
            try:
                runs[requests] = run_measured(command(served.url, folder))
            except RuntimeError as error:
                print(f"{name}: {error}", file=sys.stderr)
                return {**row, "req/s": "failed"}
    start_s, whole = runs[1].cpu_s, runs[options.peer_requests]
    took = figures(whole, options.peer_requests)
    return {
        **row, "req/s": took["req_per_s"], "CPU s per 1,000": took["cpu_s_per_1000"], "start-up CPU s": start_s,
        "without it": 1000 * (whole.cpu_s - start_s) / options.peer_requests, "peak RSS MB": took["peak_rss_mb"],
        "asked": int(served.total("asked")),
    }  # fmt: skip


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--latency-s", type=float, default=0.05)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--slow-requests", type=int, default=10_000, help="0: leave the slow teacher out")
    parser.add_argument("--slow-workers", type=int, default=MANY)
    parser.add_argument("--peer-requests", type=int, default=2000, help="0: leave the peers out")
    options = parser.parse_args()
    if options.requests:
        compare(options)
    if options.slow_requests:
        slow_teacher(options)
    if options.peer_requests:
        peers(options)


if __name__ == "__main__":
    main()
