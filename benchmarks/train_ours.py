"""`finetune.train` in a process of its own, with a configuration given as JSON; its steps as one JSON line.

The narrow seam of train_speed.py: what it needs of the training core is `train`, `RunConfig` and metrics.jsonl.
"""

import json
import sys
import time
from itertools import pairwise
from pathlib import Path

from finetune import RunConfig, train
from finetune.metrics import Metrics


def note_cpu(times: list[float]) -> None:
    """Notes this process's CPU time whenever a line of metrics is written."""
    add = Metrics.add

    def noting(self: Metrics, line: dict[str, object]) -> None:
        times.append(time.process_time())
        add(self, line)

    Metrics.add = noting  # type: ignore[method-assign]


def peak_mb() -> float:
    """This process's own peak; ru_maxrss begins at the parent's."""
    import torch  # noqa: PLC0415 - long loaded by now

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    dataset, folder, fields = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    times = [0.0]  # the first step's is with loading; it is not counted
    note_cpu(times)
    train(dataset, folder, RunConfig.model_validate(fields))
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [line for line in lines if "loss" in line]
    result = {
        "seconds": [step["seconds"] for step in steps],
        "losses": [step["loss"] for step in steps],
        "tokens": [step["tokens"] for step in steps],
        "cpu_s": [after - before for before, after in pairwise(times)],
        "peak_mb": peak_mb(),
    }
    print(json.dumps(result))
