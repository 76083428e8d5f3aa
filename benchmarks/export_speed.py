"""What exporting costs at ten thousand, a hundred thousand, a million rows.

Two kinds of store, filled in bulk (`bulk_store.py`): one step whose answers are JSON that a schema verifies, one in ten
of them rejected; and, smaller, four samples of which a judge's scores choose one (its judge's rows are not counted).
Exports alternate between the sizes, each in a process of its own; of each size the quickest and the cheapest count, as
the machine may be shared. `ratio` is the CPU time per row beside that of the smallest size, both less what an export of
four rows takes. `MB` is the largest process; `MB in all` is of all processes of an export at its worst moment, what
they share counted once.

    python benchmarks/export_speed.py [--rows 10000,100000,1000000] [--judged 40000] [--rounds 2]
"""

import argparse
import shutil
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from measuring import Used, harvester, report, run_measured, table

FILL = Path(__file__).with_name("bulk_store.py")
SAMPLE_S = 0.1
FEW = 4


def main() -> None:
    """Measure every size, then say it as a table and as one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", default="10000,100000,1000000", help="sizes, with commas between them")
    parser.add_argument("--judged", default="10000,40000", help="sizes of the stores with samples and a judge")
    parser.add_argument("--rounds", type=int, default=2, help="exports of each store")
    parser.add_argument("--keep", type=Path, help="leave the stores in this folder, and use those that are there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="harvester-bench-") as scratch:
        stores = Stores(options.keep or Path(scratch) / "stores", Path(scratch) / "dataset")
        results = [
            result
            for kind, sizes in (("one step", options.rows), ("judged", options.judged))
            for result in measured(stores, kind, [int(size) for size in sizes.split(",") if size], options.rounds)
        ]
    table("Exporting", results)
    report("export_speed", {"sizes": results})


@dataclass(frozen=True, slots=True)
class Exporting:
    """One export."""

    used: Used
    all_mb: float  # of all its processes, at its worst moment


@dataclass(frozen=True, slots=True)
class Stores:
    """Stores to export from, made when they are asked for."""

    folder: Path
    out: Path

    def of(self, kind: str, size: int) -> Path:
        """The recipe's folder, beside its store."""
        place = self.folder / f"{kind.replace(' ', '-')}-{size}"
        if not (place / "filled").exists():
            shutil.rmtree(place, ignore_errors=True)
            judged = ["--judged"] if kind == "judged" else []
            filled = run_measured([sys.executable, str(FILL), str(place), str(size), *judged])
            (place / "filled").touch()
            print(f"{kind}, {size:,} rows: filled in {filled.wall_s:.0f} s", file=sys.stderr)
        return place

    def export(self, kind: str, size: int) -> Exporting:
        """Export one in a process of its own."""
        store = self.of(kind, size)
        shutil.rmtree(self.out, ignore_errors=True)
        with Watch() as watch:
            used = run_measured(harvester("export", store, self.out, "--json"))
        return Exporting(used, watch.most_mb)


class Watch:
    """Looks at the memory of all descendants of this process, ten times a second."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.most_mb = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(SAMPLE_S):
            self.most_mb = max(self.most_mb, sum(map(_pss_mb, _descendants("self"))))


def _descendants(process: str) -> list[str]:
    try:
        tasks = list(Path("/proc", process, "task").iterdir())
        children = [child for task in tasks for child in (task / "children").read_text(encoding="ascii").split()]
    except OSError:
        return []
    return [one for child in children for one in (child, *_descendants(child))]


def _pss_mb(process: str) -> float:
    """A process's memory, with its share of what it has in common with others."""
    try:
        lines = Path("/proc", process, "smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def measured(stores: Stores, kind: str, sizes: Sequence[int], rounds: int) -> list[dict[str, object]]:
    """The exports of stores of one kind, a row of the table each."""
    if not sizes:
        return []
    start_s = min(stores.export(kind, FEW).used.cpu_s for _ in range(2))
    for size in sizes:
        stores.of(kind, size)
    exports = [{size: stores.export(kind, size) for size in sizes} for _ in range(rounds)]
    found = {size: [one[size] for one in exports] for size in sizes}
    per_row = {size: (min(one.used.cpu_s for one in its) - start_s) / size * 1e6 for size, its in found.items()}
    return [
        {
            "kind": kind,
            "rows": size,
            "rows/s": round(size / min(one.used.wall_s for one in its)),
            "wall s": round(min(one.used.wall_s for one in its), 1),
            "CPU us/row": round(per_row[size], 1),
            "ratio": round(per_row[size] / per_row[sizes[0]], 2),
            "MB": round(max(one.used.peak_rss_mb for one in its)),
            "MB in all": round(max(one.all_mb for one in its)),
            "store MB": round((stores.of(kind, size) / "harvest.db").stat().st_size / 2**20),
        }
        for size, its in found.items()
    ]


if __name__ == "__main__":
    main()
