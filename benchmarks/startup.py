"""How soon `harvester --help` answers, next to what Python and click alone take."""

import argparse
import shutil
import statistics
import sys
from pathlib import Path

from measuring import Used, report, run_measured, table

MOST_S = 0.4


def main() -> None:
    """Time each command in turn, again and again, so that what else the machine does meets all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=15)
    options = parser.parse_args()
    beside = Path(sys.executable).with_name("harvester")
    script = str(beside) if beside.is_file() else shutil.which("harvester")
    assert script, "harvester is not installed in this environment"
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        'python -c "import click"': [sys.executable, "-c", "import click"],
        "harvester --help": [script, "--help"],
    }
    runs: dict[str, list[Used]] = {name: [] for name in commands}
    for _ in range(options.repeat):
        for name, command in commands.items():
            runs[name].append(run_measured(command))
    medians = {name: statistics.median(used.wall_s for used in of_name) for name, of_name in runs.items()}
    rows = [
        {
            "command": name,
            "median s": medians[name],
            "slowest s": max(used.wall_s for used in of_name),
            "CPU s": statistics.median(used.cpu_s for used in of_name),
        }
        for name, of_name in runs.items()
    ]
    table(f"start-up, {options.repeat} runs of each (aim for --help: at most {MOST_S} s)", rows)
    report("startup", {"rows": rows, "met": medians["harvester --help"] <= MOST_S})


if __name__ == "__main__":
    main()
