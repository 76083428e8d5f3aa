"""What a run tells while it trains: metrics.jsonl, TensorBoard, and a bar or a line every few seconds."""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from finetune import runs
from finetune.data import say
from finetune.errors import BadInput

TALK_EVERY_S = 5.0
TENSORBOARD = "tensorboard"
STATUS = Path("/proc/self/status")


class Metrics:
    """One run's metrics, written by one process.

    Args:
        folder: the run's.
        total: steps in all.
        tensorboard: write RUN/tensorboard too.

    Raises:
        BadInput: TensorBoard is asked for and not installed.
    """

    def __init__(self, folder: Path, total: int, *, tensorboard: bool = False) -> None:
        self._path, self._total = folder / runs.METRICS, total
        self._writer = _tensorboard(folder / TENSORBOARD) if tensorboard else None
        self._bar = _Bar(total) if sys.stderr.isatty() else None
        self._talked = 0.0

    def keep(self, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Leaves only some lines: those of steps that will be done again go."""
        lines = runs.read_lines(self._path) if self._path.exists() else []
        kept = [line for line in lines if wanted(line)]
        runs.write_text(self._path, runs.dump_lines(kept))
        return kept

    def add(self, line: dict[str, Any]) -> None:
        """Writes one line; its numbers go to TensorBoard under their names."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self._writer is not None:
            for name, value in line.items():
                if name != "step":
                    self._writer.add_scalar(name, value, line["step"])

    def show(self, line: dict[str, Any], *, dev_loss: float | None, left_s: float) -> None:
        """Tells a person of a step."""
        dev = "" if dev_loss is None else f"  dev {dev_loss:.3f}"
        text = (
            f"loss {line['loss']:.3f}{dev}  {line['tokens_per_s']:.0f} supervised tok/s "
            f"({line['total_tokens_per_s']:.0f} in all)  {line['memory_mb'] / 1000:.1f} GB  {_clock(left_s)} left"
        )
        if self._bar is not None:
            self._bar.update(line["step"], text)
        elif time.monotonic() - self._talked >= TALK_EVERY_S or line["step"] == self._total:
            self._talked = time.monotonic()
            say(f"step {line['step']}/{self._total}  {text}")

    def close(self) -> None:
        """Takes the bar away and closes the files."""
        if self._bar is not None:
            self._bar.stop()
        if self._writer is not None:
            self._writer.close()


class _Bar:
    def __init__(self, total: int) -> None:
        columns = (TextColumn("step"), MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"))
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._task = self._progress.add_task("", total=total)
        self._progress.start()

    def update(self, step: int, text: str) -> None:
        self._progress.update(self._task, completed=step, description=text)

    def stop(self) -> None:
        self._progress.stop()


def peak_memory_mb() -> float:
    """The most that this process held: on a GPU what torch allocated there, else resident memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    if STATUS.exists():
        # Linux: ru_maxrss of a child begins at its parent's peak, this is its own.
        kib = next(line.split()[1] for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(kib) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise BadInput("--tensorboard: not installed; run: pip install 'harvester[tensorboard]'") from error
    return SummaryWriter(str(folder))
