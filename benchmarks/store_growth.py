"""What grows with the store: planning, resuming and collecting at ten thousand, a hundred thousand, a million rows.

For each size, in processes of their own: plan that many seeds; answer all but the last few thousand (in bulk, through
the store's writer); resume for one request; collect a few thousand more over HTTP, in rounds that alternate between the
sizes. What a request costs is the CPU time of such a run less that of the run with one request, so start-up is not in
it; of the rounds the cheapest counts, as the machine may be shared.

    python benchmarks/store_growth.py [--rows 10000,100000,1000000]
"""

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from measuring import Served, Used, harvester, provider, report, run_measured, table, write_recipe

LEFT = 6_000
"""Requests that the filled store has no answer to."""
ASKED, ROUNDS = 1_900, 3
"""Requests asked over HTTP in each round."""
GROUP = 2_000
WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("n", "r", "s", "lt", "nd", "")]


TEXTS = [" ".join(random.Random(number).choices(WORDS, k=260)) for number in range(500)]  # noqa: S311


def main() -> None:
    """Measure every size, then say it as a table and as one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", default="10000,100000,1000000", help="sizes, with commas between them")
    parser.add_argument("--stage", choices=["plan", "fill"], help=argparse.SUPPRESS)
    parser.add_argument("folder", nargs="?", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        {"plan": plan, "fill": fill}[options.stage](options.folder)
        return
    with provider("--latency-s", 0.02) as served, tempfile.TemporaryDirectory(prefix="harvester-bench-") as folder:
        stores = {size: Path(folder) / str(size) for size in map(int, options.rows.split(","))}
        results = {size: prepare(store, size, served) for size, store in stores.items()}
        first = {size: collect(store, 1) for size, store in stores.items()}
        rounds = [{size: collect(store, ASKED) for size, store in stores.items()} for _ in range(ROUNDS)]
        for size, store in stores.items():
            results[size] |= measured(store, size, first[size], [one[size] for one in rounds])
    cheapest = next(iter(results.values()))["CPU ms/request"]
    for result in results.values():
        result["ratio"] = round(result["CPU ms/request"] / cheapest, 2)
    table("The store as it grows", list(results.values()))
    report("store_growth", {"sizes": list(results.values())})


def prepare(folder: Path, size: int, served: Served) -> dict[str, float]:
    """Plan a store of that size and answer most of it."""
    write_recipe(folder, served.url, size, {"concurrency": 64})
    planned, filled = (run_measured([sys.executable, __file__, "--stage", stage, str(folder)]) for stage in STAGES)
    print(f"{size:,} rows: planned in {planned.wall_s:.0f} s, filled in {filled.wall_s:.0f} s", file=sys.stderr)
    return {
        "rows": size,
        "plan CPU s/1,000": round(planned.cpu_s / size * 1000, 3),
        "plan s": round(planned.wall_s, 1),
        "plan MB": round(planned.peak_rss_mb),
    }


def measured(folder: Path, size: int, first: Used, rounds: Sequence[Used]) -> dict[str, float]:
    """What the runs over one store say, and what it takes to look at it."""
    status = run_measured(harvester("status", folder, "--json"))
    asked = json.loads(status.output)["requests"]["answered"] - (size - LEFT)
    assert asked == 1 + ROUNDS * ASKED, asked
    per_request_s = min(used.cpu_s - first.cpu_s for used in rounds) / (ASKED - 1)
    return {
        "resume for one s": round(first.wall_s, 2),
        "CPU ms/request": round(per_request_s * 1000, 3),
        "collect MB": round(max(used.peak_rss_mb for used in rounds)),
        "status s": round(status.wall_s, 2),
        "store MB": round((folder / "harvest.db").stat().st_size / 2**20),
    }


STAGES = ("plan", "fill")


def collect(folder: Path, limit: int) -> Used:
    """Collect over HTTP in a process of its own."""
    return run_measured(harvester("collect", folder, "--limit", limit, "--json"))


def plan(folder: Path) -> None:
    """Render every seed into the store."""
    from harvester.planning import ensure_plan  # noqa: PLC0415 - the parent process needs none of it
    from harvester.recipe import Recipe  # noqa: PLC0415
    from harvester.store import StoreWriter  # noqa: PLC0415

    with StoreWriter.open(folder / "harvest.db") as store:
        ensure_plan(store, Recipe.load(folder))


def fill(folder: Path) -> None:
    """Answer and judge all but the last few thousand requests, as one run that ended well."""
    from harvester.judging import Rules  # noqa: PLC0415
    from harvester.recipe import Recipe  # noqa: PLC0415
    from harvester.records import Outcome  # noqa: PLC0415
    from harvester.store import StoreWriter  # noqa: PLC0415
    from harvester.store.events import Judged, Replied  # noqa: PLC0415

    recipe = Recipe.load(folder)
    rules = Rules(recipe).digests.whole
    with StoreWriter.open(folder / "harvest.db") as store:
        current = store.current_plan(recipe.name)
        assert current
        plan_id, after = current[0], 0
        run_id = store.begin_run(plan_id, recipe.name, None)
        teacher_id = store.teacher_id(name="teacher", provider="p", identity="i", terms={}, price=None)
        left = store.count_pending(plan_id) - LEFT
        while left > 0:
            batch = store.pending(plan_id, after=after, limit=min(GROUP, left))
            after, left = batch[-1].request_id, left - len(batch)
            store.apply([Replied(one.request_id, teacher_id, run_id, reply(one.request_id), 0, 1) for one in batch])
            with store.engine.connect() as connection:
                found = connection.exec_driver_sql(
                    "SELECT id FROM rows WHERE request_id BETWEEN ? AND ?", (batch[0].request_id, after)
                )
                store_rows = found.scalars().all()
            store.apply([Judged(row, rules, Outcome(accepted=True, drop_reason=None)) for row in store_rows])
        store.all_judged(run_id, rules)
        store.end_run(run_id, outcome="done", seconds=1)


def reply(number: int) -> bytes:
    """About 1.5 kB of JSON, different for every number, and no easier to compress than prose."""
    message = {"role": "assistant", "content": f"{number} {TEXTS[number % len(TEXTS)]}", "refusal": None}
    usage = {"prompt_tokens": 60, "completion_tokens": 320, "total_tokens": 380}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return json.dumps({"id": f"chatcmpl-{number}", "model": "toy-1", "choices": [choice], "usage": usage}).encode()


if __name__ == "__main__":
    main()
