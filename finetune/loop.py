"""The training loop: accumulate over one global token count, clip, step, measure, checkpoint, stop cleanly."""

import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from finetune import checkpoint, runs, schedule
from finetune.batching import epoch_steps, packed_passes, padded_passes, share
from finetune.checkpoint import Progress
from finetune.config import RunConfig
from finetune.data import say
from finetune.distributed import World
from finetune.errors import BadInput, Stopped
from finetune.metrics import Metrics, peak_memory_mb
from finetune.objective import Objective
from finetune.rendering import Example
from finetune.shards import whole
from finetune.student import trainable

Stop = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class StepResult:
    """One optimiser step, over all processes."""

    loss: float  # nats per supervised token, over the whole step
    tokens: int  # supervised
    total_tokens: int
    grad_norm: float  # before clipping


def accumulate(objective: Objective, passes: Sequence[Sequence[Example]], tokens: int) -> float:
    """Adds the gradient of the mean loss over all supervised tokens of a step.

    One token count for the whole step: a mean of means would give a token in a short pass more weight.

    Args:
        objective: what is made small.
        passes: the rows of each forward pass of this process.
        tokens: supervised tokens of the step, over all passes of all processes.

    Returns:
        This process's part of the mean loss, in nats.
    """
    total = 0.0
    for rows in passes:
        loss = objective.loss(rows) / tokens
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total


@dataclass
class Loop:
    """Training of one model on fixed examples."""

    objective: Objective
    examples: Sequence[Example]
    dev: Sequence[Example]
    config: RunConfig
    folder: Path
    world: World = field(default_factory=World)
    tensorboard: bool = False
    train_loss: float | None = None
    dev_loss: float | None = None
    ended_by: str = "epochs"
    _laid_out: tuple[int, list[list[int]]] = field(default=(-1, []), init=False)  # epoch and its steps

    def __post_init__(self) -> None:
        """Lays out the steps; epoch e, place i is step e * steps_per_epoch + i."""
        training, batching = self.config.training, self.config.batching
        self.steps_per_epoch = len(self._epoch(0))
        self.total = training.epochs * self.steps_per_epoch
        if training.max_steps is not None and training.max_steps < self.total:
            self.total, self.ended_by = training.max_steps, "max_steps"
        self.warmup = int(self.config.optimiser.warmup_fraction * self.total)
        self.most_tokens = batching.batch_size * max(len(example.ids) for example in (*self.examples, *self.dev))
        self.dev_every = training.dev_every or self.steps_per_epoch
        weights = trainable(self.objective.model).values()
        self.sharded = any(isinstance(weight, DTensor) for weight in weights)
        # fused: one pass over the parameters instead of a dozen.
        self.optimiser = torch.optim.AdamW(
            weights, lr=0.0, weight_decay=self.config.optimiser.weight_decay, fused=not self.sharded
        )
        self.metrics: Metrics | None = None
        if self.world.first:
            self.metrics = Metrics(self.folder, self.total, tensorboard=self.tensorboard)
            how = "packed" if self.objective.packing else "padded"
            say(f"{len(self.examples)} rows, {self.total} steps of {batching.rows_per_step} rows, {how}")

    def run(self, stop: Stop) -> Progress:
        """Trains to the end, from the newest checkpoint if there is one.

        Args:
            stop: asked after every step; True in any process ends the run there, with a checkpoint.

        Raises:
            BadInput: the checkpoint is damaged, or the loss is no longer a number.
            Stopped: `stop` said so.
        """
        try:
            progress = self._steps(self._resume(), stop)
        finally:
            if self.metrics is not None:
                self.metrics.close()
        if progress.best_step is not None and progress.best_step != progress.step:
            checkpoint.restore_best(self.folder / runs.CHECKPOINTS, self.objective.model, progress)
            self.dev_loss = progress.best_loss
        return progress

    def _steps(self, progress: Progress, stop: Stop) -> Progress:
        every = self.config.training.checkpoint_every
        if self.dev and progress.step == 0:
            progress = self._look(progress)
        self.objective.train()
        while not self._ended(progress):
            started = time.monotonic()
            result = self._step(progress)
            (seconds,) = self.world.most(time.monotonic() - started)
            progress = replace(progress, step=progress.step + 1, seconds=progress.seconds + seconds)
            self._record(progress, result, seconds)
            (wish,) = self.world.most(stop())
            if self.dev and (progress.step % self.dev_every == 0 or self._ended(progress)):
                progress = self._look(progress)
            ended = self._ended(progress)
            if wish or ended or progress.step % every == 0:
                folder = self.folder / runs.CHECKPOINTS
                checkpoint.save(folder, self.objective.model, self.optimiser, progress, self.world)
            if wish and not ended:
                raise Stopped(
                    f"{self.folder}: stopped after step {progress.step} of {self.total}; "
                    "run the same command again to go on"
                )
        return progress

    def _ended(self, progress: Progress) -> bool:
        limit, patience = self.config.training.max_minutes, self.config.training.patience
        if progress.step >= self.total:
            return True
        if limit is not None and progress.seconds >= 60 * limit:
            self.ended_by = "max_minutes"
        elif patience is not None and progress.misses >= patience:
            self.ended_by = "patience"
        else:
            return False
        return True

    def _step(self, progress: Progress) -> StepResult:
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate(progress)
        epoch, place = divmod(progress.step, self.steps_per_epoch)
        rows = [self.examples[row] for row in self._epoch(epoch)[place]]
        tokens = sum(example.supervised for example in rows)
        loss = self.world.total(accumulate(self.objective, self._passes(rows), tokens))
        weights = list(trainable(self.objective.model).values())
        if not self.sharded:
            self.world.add_gradients(weights)
        norm = float(whole(torch.nn.utils.clip_grad_norm_(weights, self.config.optimiser.clip_norm)))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise BadInput(
                f"{self.folder}: step {progress.step + 1}: a loss of {loss} with a gradient of norm {norm} teaches "
                "nothing; give a lower --learning-rate or --dtype float32"
            )
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.train_loss = loss
        total_tokens = sum(len(example.ids) for example in rows)
        return StepResult(loss=loss, tokens=tokens, total_tokens=total_tokens, grad_norm=norm)

    def _rate(self, progress: Progress) -> float:
        """The learning rate; a run that is bounded in time comes to the schedule's end with it."""
        limit, place = self.config.training.max_minutes, float(progress.step)
        if limit is not None:
            place = min(max(place, self.total * progress.seconds / (60 * limit)), self.total - 1)
        kind = self.config.optimiser.schedule
        return self.config.learning_rate * schedule.factor(place, total=self.total, warmup=self.warmup, kind=kind)

    def _passes(self, rows: Sequence[Example]) -> list[list[Example]]:
        """This process's forward passes over some rows, which are sorted by length."""
        batching, lengths = self.config.batching, [len(example.ids) for example in rows]

        def split(part: Sequence[int]) -> list[list[int]]:
            if self.objective.packing:
                return packed_passes(part, lengths, self.most_tokens)
            return padded_passes(part, batching.batch_size)

        of_each = [split(share(range(len(rows)), rank, self.world.size)) for rank in range(self.world.size)]
        mine = [[rows[row] for row in one] for one in of_each[self.world.rank]]
        # A pass gathers the shards of all processes, so each must make as many.
        return mine + [[]] * (max(map(len, of_each)) - len(mine)) if self.sharded else mine

    def _epoch(self, epoch: int) -> list[list[int]]:
        if self._laid_out[0] != epoch:
            rows, seed = self.config.batching.rows_per_step, self.config.training.seed
            lengths = [len(example.ids) for example in self.examples]
            self._laid_out = (epoch, epoch_steps(lengths, rows, seed=seed, epoch=epoch))
        return self._laid_out[1]

    def _resume(self) -> Progress:
        newest = checkpoint.latest(self.folder / runs.CHECKPOINTS)
        progress = Progress()
        if newest is not None:
            progress = checkpoint.load(newest, self.objective.model, self.optimiser, self.world)
            say(f"going on after step {progress.step} of {self.total}")
        if self.metrics is not None:
            # Steps after the checkpoint are done again, so their lines go.
            for line in self.metrics.keep(lambda line: newest is not None and line["step"] <= progress.step):
                self.train_loss, self.dev_loss = line.get("loss", self.train_loss), line.get("dev_loss", self.dev_loss)
        return progress

    @torch.no_grad()
    def _look(self, progress: Progress) -> Progress:
        """Measures the dev split, and keeps the best weights where a run may end early."""
        started = time.monotonic()
        self.objective.eval()
        ordered = sorted(self.dev, key=lambda example: len(example.ids))
        summed = sum(self.objective.loss(rows).item() for rows in self._passes(ordered))
        loss = self.dev_loss = self.world.total(summed) / sum(example.supervised for example in self.dev)
        self.objective.train()
        if self.sharded:
            sharded: Any = self.objective
            sharded.reshard()  # no backward pass does it: what is saved next must be the shards
        if self.metrics is not None:
            self.metrics.add({"step": progress.step, "dev_loss": loss})
        (seconds,) = self.world.most(time.monotonic() - started)
        progress = replace(progress, seconds=progress.seconds + seconds)
        if self.config.training.patience is None or progress.step == 0:
            return progress
        if progress.best_loss is not None and not loss < progress.best_loss:
            return replace(progress, misses=progress.misses + 1)
        progress = replace(progress, best_step=progress.step, best_loss=loss, misses=0)
        checkpoint.save_best(self.folder / runs.CHECKPOINTS, self.objective.model, progress, self.world)
        return progress

    def _record(self, progress: Progress, result: StepResult, seconds: float) -> None:
        if self.metrics is None:
            return
        line = {
            "step": progress.step,
            "epoch": progress.step / self.steps_per_epoch,
            "loss": result.loss,
            "learning_rate": self.optimiser.param_groups[0]["lr"],
            "grad_norm": result.grad_norm,
            "tokens": result.tokens,
            "total_tokens": result.total_tokens,
            "seconds": seconds,
            "tokens_per_s": result.tokens / seconds,
            "total_tokens_per_s": result.total_tokens / seconds,
            "memory_mb": peak_memory_mb(),
        }
        self.metrics.add(line)
        self.metrics.show(line, dev_loss=self.dev_loss, left_s=self._left(progress))

    def _left(self, progress: Progress) -> float:
        """Seconds to the end at the pace so far."""
        left_s = progress.seconds / progress.step * (self.total - progress.step)
        limit = self.config.training.max_minutes
        return left_s if limit is None else min(left_s, max(0.0, 60 * limit - progress.seconds))


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Turns the first Ctrl-C (or SIGTERM) into a wish to stop; a second one interrupts at once."""
    seen: list[int] = []

    def note(number: int, _frame: object) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)
        say("stopping after this step (again: at once)")

    try:
        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: signals are the caller's business
        before = {}
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
