"""How much of a strict provider's limits is used, and how often it has to refuse: told in the recipe, and not told.

Every scenario is a provider and a collecting Harvester of its own; all run side by side, as each needs about a
hundredth of a core. Counted is what the provider saw, from its first request on.
"""

import argparse
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from measuring import Served, harvester, provider, report, table, write_recipe

LEAST_USED, MOST_REFUSED = 0.97, 0.001  # told
MOST_REFUSED_UNTOLD = 0.01  # after FOUND_S
FOUND_S = 10.0
RPM, TPM = 1200, 200_000
PROMPT = 60
COMPLETIONS = {"requests": (20, 100), "tokens": (100, 300)}
"""Sizes with which this limit binds: 120 tokens a request on average or 260, where 167 would use both limits up."""
CONCURRENCY = 64
STOPPED = 3
"""Harvester's exit code for a run that can be gone on with."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One provider, one recipe."""

    told: bool
    binds: str
    limiter: str  # "window": any sixty seconds; "bucket": refilled evenly, holds a second's worth
    latency_s: float
    retry_after: bool = True

    @property
    def name(self) -> str:
        """For tables."""
        says = "" if self.retry_after else ", does not say when"
        return f"{self.limiter}, {1000 * self.latency_s:.0f} ms{says}"


def scenarios() -> Iterator[Scenario]:
    """Told and not told, both kinds of limiter, both limits, short and long answers; a few that do not say when."""
    for told in (True, False):
        for binds in COMPLETIONS:
            for limiter in ("window", "bucket"):
                for latency_s in (0.05, 1.0):
                    yield Scenario(told, binds, limiter, latency_s)
    for told in (True, False):
        for limiter in ("window", "bucket"):
            yield Scenario(told, "requests", limiter, 0.05, retry_after=False)


def run(scenario: Scenario, options: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Collect for so many seconds from the provider's first request, and read what it saw."""
    completions = COMPLETIONS[scenario.binds]
    end_s = options.start_s + options.steady_s
    seeds = int(options.rpm * (end_s / 60 + 2))  # more than can be answered: a minute's burst and a minute's slack
    limits = {"requests_per_minute": options.rpm, "tokens_per_minute": options.tpm, "concurrency": CONCURRENCY}
    flags = [] if scenario.retry_after else ["--no-retry-after"]
    with provider(
        *("--latency-s", scenario.latency_s, "--limiter", scenario.limiter, "--rpm", options.rpm),
        *("--tpm", options.tpm, "--prompt-tokens", PROMPT, "--completion-tokens", *completions, *flags),
    ) as served:
        recipe = write_recipe(folder, served.url, seeds, limits if scenario.told else {}, max_tokens=max(completions))
        with (folder / "log").open("w") as log:
            command = harvester("collect", recipe)
            with subprocess.Popen(command, stdout=log, stderr=log) as child:
                _until(child, served, end_s)
        if child.returncode != STOPPED:
            raise RuntimeError(f"{scenario}: exit code {child.returncode}\n{(folder / 'log').read_text()[-2000:]}")
    return measured(scenario, options, served)


def _until(child: "subprocess.Popen[bytes]", served: Served, seconds: float) -> None:
    """Stop the child so many seconds after its first request; planning came before that."""
    while not served.asked_within(0.5) and child.poll() is None:
        pass
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGTERM)


def measured(scenario: Scenario, options: argparse.Namespace, served: Served) -> dict[str, object]:
    """Shares of the limit used and of requests refused."""
    begin_s, end_s = options.start_s, options.start_s + options.steady_s
    what, limit = ("accepted", options.rpm) if scenario.binds == "requests" else ("tokens", options.tpm)
    used = served.between(what, begin_s, end_s) / (limit * options.steady_s / 60)

    def refused(since_s: float) -> float:
        return served.between("refused", since_s, end_s) / max(served.between("asked", since_s, end_s), 1)

    counted_s = begin_s if scenario.told else FOUND_S
    met = refused(counted_s) < (MOST_REFUSED if scenario.told else MOST_REFUSED_UNTOLD)
    return {
        "limiter": scenario.name, "binds": scenario.binds, "told": scenario.told,
        "used %": 100 * used, "429 %": 100 * refused(counted_s),
        "429s": int(served.between("refused", counted_s, end_s)),
        "429s at start": int(served.between("refused", 0, counted_s)),
        "met": met and (used >= LEAST_USED or not scenario.told),
    }  # fmt: skip


def main() -> None:
    """Run every scenario, side by side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rpm", type=int, default=RPM)
    parser.add_argument("--tpm", type=int, default=TPM)
    parser.add_argument("--start-s", type=float, default=60, help="not counted into 'used'")
    parser.add_argument("--steady-s", type=float, default=120)
    parser.add_argument("--only", choices=["told", "untold"], help="leave the others out")
    parser.add_argument("--first", type=int, help="only so many scenarios")
    options = parser.parse_args()
    chosen = [one for one in scenarios() if options.only in (None, "told" if one.told else "untold")][: options.first]
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(len(chosen)) as pool:
        rows = list(pool.map(lambda pair: run(pair[1], options, Path(temporary, str(pair[0]))), enumerate(chosen)))
    for told in (True, False):
        of_kind = [{name: cell for name, cell in row.items() if name != "told"} for row in rows if row["told"] is told]
        if of_kind:
            table(_title(options, told=told), of_kind)
    sizes = {name: getattr(options, name) for name in ("rpm", "tpm", "start_s", "steady_s")}
    report("limit_use", {**sizes, "rows": rows})


def _title(options: argparse.Namespace, *, told: bool) -> str:
    limits = f"{options.rpm:,} requests and {options.tpm:,} tokens a minute"
    begin, end = options.start_s, options.start_s + options.steady_s
    if told:
        aims = f"used and 429s from {begin:.0f} to {end:.0f} s; aims: at least 97 % used, less than 0.1 % refused"
        return f"{limits}, told in the recipe: {aims}"
    aims = f"used from {begin:.0f} to {end:.0f} s, 429s from {FOUND_S:.0f} s on; aim: less than 1 % refused"
    return f"{limits}, not told: {aims}"


if __name__ == "__main__":
    main()
