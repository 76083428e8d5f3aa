"""What the benchmarks share: child processes measured by the kernel, the provider, tables and JSON lines."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = os.environ.get("HARVESTER_BENCH_RESULTS", str(HERE / "results"))
"""Where the JSON lines are kept, one file per benchmark (git ignores it); empty: they are only printed."""


@dataclass(frozen=True, slots=True)
class Used:
    """What one process used, with every child that it waited for."""

    wall_s: float
    cpu_s: float  # user + system
    peak_rss_mb: float
    exit_code: int
    output: str


def run_measured(command: Sequence[str], *, environ: Mapping[str, str] | None = None, accept: int = 0) -> Used:
    """Run a command to its end.

    Raises:
        RuntimeError: it ended with another exit code than `accept`; its last words are in the message.
    """
    started = time.monotonic()
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **(environ or {})}
    )
    return wait_measured(child, started, accept=accept)


def wait_measured(child: "subprocess.Popen[str]", started: float, *, accept: int = 0) -> Used:
    """Wait for a child whose output is piped; wait4 gives its own CPU time and peak memory, not those of its siblings.

    Raises:
        RuntimeError: as `run_measured`.
    """
    assert child.stdout
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.monotonic() - started
    child.stdout.close()
    if child.returncode != accept:
        raise RuntimeError(f"{child.args!r}: exit code {child.returncode}\n{output[-2000:]}")
    return Used(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, child.returncode, output)


@dataclass(slots=True)
class Served:
    """A running provider; `stats` is there once it has ended."""

    url: str
    process: "subprocess.Popen[str]"
    stats: dict[str, Any] = field(default_factory=dict)

    def asked_within(self, seconds: float) -> bool:
        """Wait so long for the provider's first request."""
        assert self.process.stdout
        return bool(select.select([self.process.stdout], [], [], seconds)[0])

    def between(self, what: str, begin_s: float, end_s: float) -> float:
        """How much of `what` the provider saw in a span of its time (seconds from its first request)."""
        bin_s = self.stats["bin_s"]
        return float(sum(n for tenth, n in self.stats["bins"].get(what, ()) if begin_s <= tenth * bin_s < end_s))

    def total(self, what: str) -> float:
        """How much of `what` there was in all."""
        return float(sum(n for _, n in self.stats["bins"].get(what, ())))


@contextmanager
def provider(*options: object) -> Iterator[Served]:
    """A fake provider in a process of its own; when the context ends, `stats` says what it saw."""
    command = [sys.executable, str(HERE / "fake_provider.py"), *map(str, options)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        served = Served(f"http://127.0.0.1:{int(process.stdout.readline())}/v1", process)
        try:
            yield served
        finally:
            process.terminate()
            served.stats = json.loads(process.stdout.read().splitlines()[-1])


def write_recipe(folder: Path, url: str, prompts: int, limits: Mapping[str, int], *, max_tokens: int = 256) -> Path:
    """A recipe with `prompts` seeds that asks the provider at `url`; returns its folder."""
    folder.mkdir(parents=True)
    with (folder / "seeds.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": prompt(number)}) + "\n" for number in range(prompts))
    (folder / "answer.j2").write_text("{{ text }}", encoding="utf-8")
    recipe = {
        "name": "bench",
        "teacher": {
            "base_url": url,
            "model": "toy-1",
            "local": True,
            "limits": dict(limits),
            "sampling": {"temperature": 0.7, "max_tokens": max_tokens},
        },
        "seeds": {"path": "seeds.jsonl", "license": "CC0-1.0"},
        "steps": [{"name": "answer", "prompt": "answer.j2"}],
        "terms": {"teacher": {"license": "Apache-2.0"}},
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")  # JSON is YAML
    return folder


def prompt(number: int) -> str:
    """About 200 bytes, different for every number."""
    return f"Order {number}: " + "read the following order and say which parts are wanted, how many, and when. " * 2


def harvester(*arguments: object) -> list[str]:
    """The command line of this environment's Harvester."""
    return [sys.executable, "-m", "harvester", *map(str, arguments)]


def table(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows with the same columns; the first column is a name."""
    print(f"\n{title}")
    names = list(rows[0])
    cells = [names, *([_cell(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    for line in cells:
        first, *rest = (cell.ljust(width) if not column else cell.rjust(width)
                        for column, (cell, width) in enumerate(zip(line, widths, strict=True)))  # fmt: skip
        print("  ".join([first, *rest]).rstrip())


def _cell(value: object) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else "" if value is None else str(value)


def report(benchmark: str, result: Mapping[str, object]) -> None:
    """Print the result as one JSON line, and keep it in results/; `load` tells whether the machine was quiet."""
    when = {"at": time.strftime("%Y-%m-%d"), "load": round(os.getloadavg()[0], 1)}
    line = json.dumps({"benchmark": benchmark, **when, **result})
    print(line, flush=True)
    if RESULTS:
        Path(RESULTS).mkdir(exist_ok=True)
        with Path(RESULTS, f"{benchmark}.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
