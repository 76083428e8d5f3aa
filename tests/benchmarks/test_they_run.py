"""Every benchmark runs at a tiny size: none rots between two `make bench`. Figures are not looked at here."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)  # many processes are started, which takes long on a busy machine

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def lines_of(script: str, *options: object, **environ: str) -> dict[str, dict[str, Any]]:
    """A benchmark's JSON lines, by name."""
    environ = {**os.environ, "HARVESTER_BENCH_RESULTS": "", **environ}
    command = [sys.executable, str(BENCHMARKS / script), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {line["benchmark"]: line for line in found}


def test_overhead_beside_the_bare_loop() -> None:
    options = ("--requests", 40, "--workers", 4, "--repeat", 1, "--latency-s", 0.001)
    line = lines_of("collect_overhead.py", *options, "--slow-requests", 0, "--peer-requests", 0)["collect_overhead"]
    assert len(line["runs"]["harvester"]) == len(line["runs"]["bare loop"]) == 1
    assert line["ratio_cpu"] > 0


def test_three_steps_beside_the_bare_loop() -> None:
    line = lines_of("steps_throughput.py", "--rows", 20, "--workers", 4, "--repeat", 1, "--latency-s", 0.001)
    runs = line["steps_throughput"]["runs"]
    assert len(runs["harvester"]) == len(runs["bare loop"]) == 1


def test_a_slow_teacher() -> None:
    options = ("--requests", 0, "--slow-requests", 60, "--slow-workers", 20, "--peer-requests", 0)
    line = lines_of("collect_overhead.py", *options)["slow_teacher"]
    assert 0 < line["most in flight"] <= 20


def test_peers_that_are_not_there_are_said_so() -> None:
    options = ("--requests", 0, "--slow-requests", 0, "--peer-requests", 1)
    nowhere = {f"HARVESTER_BENCH_{name}": sys.executable for name in ("CURATOR", "DATA_DESIGNER", "DISTILABEL")}
    rows = lines_of("collect_overhead.py", *options, **nowhere)["peers"]["rows"]
    assert rows[0]["client"] == "Harvester"
    assert [row["req/s"] for row in rows[1:]] == ["not installed"] * 3


@pytest.mark.parametrize("only", ["told", "untold"])
def test_use_of_limits(only: str) -> None:
    options = ("--rpm", 1200, "--start-s", 0.5, "--steady-s", 1.5, "--first", 1)
    rows = lines_of("limit_use.py", "--only", only, *options)["limit_use"]["rows"]
    assert len(rows) == 1
    assert rows[0]["used %"] > 0


def test_near_duplicates() -> None:
    nowhere = {f"HARVESTER_BENCH_{name}": sys.executable for name in ("DATASKETCH", "RENSA")}
    line = lines_of("near_duplicates.py", "--rows", "200", **nowhere)["near_duplicates"]
    (row,) = line["sizes"]["200"]
    assert row["recall"] == 1
    assert 0 < row["dropped"] <= 20


def test_start_up() -> None:
    rows = lines_of("startup.py", "--repeat", 1)["startup"]["rows"]
    assert [row["command"] for row in rows][-1] == "harvester --help"


@pytest.mark.slow
def test_logprobs_storage() -> None:
    pytest.importorskip("xllamacpp")
    rows = lines_of("logprobs_storage.py", "--rows", 1, "--tokens", 4, "--listed", 2)["logprobs_storage"]["rows"]
    assert [row["sampling"] for row in rows] == ["logprobs: 2", "logprobs: 20, streamed"]
    assert 0 < rows[0]["as stored"] < rows[0]["as it came"]


@pytest.mark.slow
def test_store_packing() -> None:
    pytest.importorskip("xllamacpp")
    line = lines_of("store_packing.py", "--rows", 4, "--tokens", 4)["store_packing"]
    assert [row["store"] for row in line["files"]] == ["prose, as it came", "prose, no logprobs"]
    assert line["codecs"]["replies of prose, as it came"][1]["of now"] == 1


def test_export_speed() -> None:
    line = lines_of("export_speed.py", "--rows", "40", "--judged", "40", "--rounds", 1)["export_speed"]
    assert [(size["kind"], size["rows"]) for size in line["sizes"]] == [("one step", 40), ("judged", 40)]
    assert all(size["rows/s"] > 0 for size in line["sizes"])


def test_batch_memory() -> None:
    line = lines_of("batch_memory.py", "--requests", 3, 6, "--bytes", 20)["batch_memory"]
    assert [(row["requests"], row["what"]) for row in line["rows"]] == [
        (requests, what) for requests in (3, 6) for what in ("planned and sent", "taken in")
    ]
    assert line["ratios"]["taken in"] > 0
