"""What a run tells while it trains: metrics.jsonl, TensorBoard, and a bar or a line every few seconds."""

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from finetune import runs
from finetune.data import say
from finetune.errors import BadInput
from harvester.errors import how_to_install

TALK_EVERY_S = 5.0
TENSORBOARD = "tensorboard"
STATUS = Path("/proc/self/status")
SAMPLED = ("reverse_kl", "answer_tokens", "ended")
"""What a step's line has of answers that the student sampled, beside the seconds that they took."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """One optimiser step, over all processes."""

    means: Mapping[str, float]  # of what the objective measures, over the whole step; the loss, in nats, is one
    tokens: int  # supervised
    total_tokens: int
    grad_norm: float  # before clipping
    sampled: Mapping[str, float] = field(default_factory=dict)  # of what the student sampled for it, by name

    def line(self, *, step: int, epoch: float, learning_rate: float, seconds: float) -> dict[str, Any]:
        """The step's line in metrics.jsonl."""
        return {
            "step": step,
            "epoch": epoch,
            **self.means,
            "learning_rate": learning_rate,
            "grad_norm": self.grad_norm,
            **self.sampled,
            "tokens": self.tokens,
            "total_tokens": self.total_tokens,
            "seconds": seconds,
            "tokens_per_s": self.tokens / seconds,
            "total_tokens_per_s": self.total_tokens / seconds,
            "memory_mb": peak_memory_mb(),
        }


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
        self._make_writer = _tensorboard() if tensorboard else None
        self._writer: Any = None
        self._bar: _Bar | None = None
        self._talked = 0.0

    def start(self) -> None:
        """Opens what shows the numbers."""
        if self._make_writer is not None:
            self._writer = self._make_writer(str(self._path.parent / TENSORBOARD))
        if sys.stderr.isatty():
            self._bar = _Bar(self._total)

    def keep(self, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Leaves only some lines: those of steps that will be done again go.

        Raises:
            BadInput: the file is damaged.
        """
        kept = [line for line in self.lines() if wanted(line)]
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

    def lines(self) -> list[dict[str, Any]]:
        """What was written so far.

        Raises:
            BadInput: the file is damaged.
        """
        if not self._path.exists():
            return []
        mend = "take the damaged lines out, or delete the file: only the curve is lost"
        try:
            lines = runs.read_lines(self._path)
        except ValueError as error:
            raise BadInput(f"{self._path}: not JSON Lines ({error}); {mend}") from error
        for number, line in enumerate(lines, start=1):
            if not isinstance(line, dict) or not isinstance(line.get("step"), int):
                raise BadInput(f"{self._path}: line {number}: no step in it; {mend}")
        return lines

    def show(self, line: dict[str, Any], *, dev_loss: float | None, left_s: float) -> None:
        """Tells a person of a step."""
        dev = "" if dev_loss is None else f"  dev {dev_loss:.3f}"
        right = f"  {line['reward_accuracy']:.0%} right" if "reward_accuracy" in line else ""
        unfinished = f"  {1 - line['ended']:.0%} unfinished" if "ended" in line else ""
        text = (
            f"loss {line['loss']:.3f}{right}{unfinished}{dev}  {line['tokens_per_s']:.0f} supervised tok/s "
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


def _tensorboard() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise BadInput(f"--tensorboard: not installed; {how_to_install('tensorboard')}") from error
    return SummaryWriter
