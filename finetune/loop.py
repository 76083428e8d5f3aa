"""The training loop: accumulate over one global token count, clip, step, measure, checkpoint, stop cleanly."""

# ruff: noqa: N806 - shape suffixes

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.distributed.tensor import DTensor

from finetune import checkpoint, runs, schedule
from finetune.batching import Order, passes_of
from finetune.checkpoint import Progress
from finetune.config import RunConfig
from finetune.data import say
from finetune.distributed import World
from finetune.errors import Stopped
from finetune.metrics import SAMPLED, Metrics, StepResult
from finetune.objective import Objective
from finetune.preference import Learnt
from finetune.rendering import Example
from finetune.shards import whole
from finetune.sound import require_finite, require_finite_weights, step_of
from finetune.stopping import Stop
from finetune.student import trainable


def accumulate(objective: Objective, passes: Sequence[Sequence[Learnt]], weight: int) -> list[float]:
    """Adds the gradient of the mean loss over a step: over its supervised tokens, or over its pairs.

    One divisor for the whole step: a mean of means would give a token in a short pass more weight.

    Args:
        objective: what is made small.
        passes: the rows of each forward pass of this process.
        weight: of all rows of the step, over all passes of all processes.

    Returns:
        This process's part of the mean of each of `objective.measures`; the loss, in nats, is the first.
    """
    mean_M = torch.zeros(len(objective.measures), dtype=torch.float64)
    for rows in passes:
        part_M = objective.sums(rows) / weight
        part_M[0].backward()  # type: ignore[no-untyped-call]
        mean_M += part_M.detach().cpu()
    return mean_M.tolist()


class Source(Protocol):
    """Gives the examples of each step where they are made anew, as a student's own answers are."""

    @property
    def longest(self) -> int:
        """Tokens that none is longer than."""

    def examples(self, step: int, rows: Sequence[int]) -> tuple[list[Example], Mapping[str, float]]:
        """The examples of a 0-based step, sorted by length and the same in all processes, and what to note of them."""


@dataclass
class Loop:
    """Training of one model on examples."""

    objective: Objective
    examples: Sequence[Learnt]
    dev: Sequence[Learnt]
    config: RunConfig
    folder: Path
    world: World = field(default_factory=World)
    tensorboard: bool = False
    source: Source | None = None  # makes the examples of each step anew from the rows' numbers; None: as they are
    means: dict[str, float] = field(default_factory=dict)  # the newest: of each measure, of dev as `dev_…`, of samples
    ended_by: str = "epochs"

    def __post_init__(self) -> None:
        training, batching = self.config.training, self.config.batching
        self.order = Order([row.length for row in self.examples], batching.rows_per_step, training.seed)
        self.total = training.epochs * self.order.steps_per_epoch
        if training.max_steps is not None and training.max_steps < self.total:
            self.total, self.ended_by = training.max_steps, "max_steps"
        self.warmup = int(self.config.optimiser.warmup_fraction * self.total)
        longest = max(row.length for row in (*self.examples, *self.dev))
        self.most_tokens = batching.batch_size * max(longest, self.source.longest if self.source else 0)
        self.dev_every = training.dev_every or self.order.steps_per_epoch
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
            what = self.objective.takes
            say(f"{len(self.examples)} {what}, {self.total} steps of {batching.rows_per_step} {what}, {how}")

    def run(self, stop: Stop) -> Progress:
        """Trains to the end, from the newest checkpoint if there is one.

        Args:
            stop: asked after every step; True in any process ends the run there, with a checkpoint.

        Raises:
            BadInput: the checkpoint is damaged or cannot be written, or losses or weights are no longer numbers.
            Stopped: `stop` said so.
        """
        try:
            if self.metrics is not None:
                self.metrics.start()
            progress = self._steps(self._resume(), stop)
        finally:
            if self.metrics is not None:
                self.metrics.close()
        if progress.best_step is not None and progress.best_step != progress.step:
            checkpoint.restore_best(self.checkpoints, self.objective.model, progress, self.world)
            self._take_look(progress)
        return progress

    def seen(self, progress: Progress) -> dict[str, int]:
        """What was learnt from in the steps done: rows, or pairs, and their tokens, each as often as it was."""
        return {
            "rows": sum(1 for _ in self.order.seen(progress.step)),
            "supervised": progress.supervised_tokens,
            "total": progress.total_tokens,
        }

    @property
    def checkpoints(self) -> Path:
        """Where the run's state is kept."""
        return self.folder / runs.CHECKPOINTS

    def _steps(self, progress: Progress, stop: Stop) -> Progress:
        every = self.config.training.checkpoint_every
        if self.dev and progress.step == 0:
            progress = self._look(progress)
        self.objective.train()
        while not self._ended(progress):
            started = time.monotonic()
            result = self._step(progress)
            (seconds,) = self.world.most(time.monotonic() - started)
            progress = replace(
                progress,
                step=progress.step + 1,
                seconds=progress.seconds + seconds,
                supervised_tokens=progress.supervised_tokens + result.tokens,
                total_tokens=progress.total_tokens + result.total_tokens,
            )
            self._record(progress, result, seconds)
            (wish,) = self.world.most(stop())
            look = self.dev and (progress.step % self.dev_every == 0 or self._ended(progress))
            due = bool(wish) or progress.step % every == 0
            if look or due or self._ended(progress):
                where = step_of(self.folder, progress.step)
                require_finite_weights(where, self.objective.model, self.world)
            if look:
                progress = self._look(progress)
            ended = self._ended(progress)
            if due or ended:
                checkpoint.save(self.checkpoints, self.objective.model, self.optimiser, progress, self.world)
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
        rows, sampled = self._examples(progress.step)
        parts = accumulate(self.objective, self._passes(rows), sum(row.weight for row in rows))
        means = dict(zip(self.objective.measures, self.world.total(*parts), strict=True))
        weights = list(trainable(self.objective.model).values())
        if not self.sharded:
            self.world.add_gradients(weights)
        norm = float(whole(torch.nn.utils.clip_grad_norm_(weights, self.config.optimiser.clip_norm)))
        what = f"a loss of {means['loss']} with a gradient of norm {norm}"
        require_finite(step_of(self.folder, progress.step + 1), what, means["loss"], norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.means |= {**means, **sampled}
        tokens, total_tokens = sum(row.supervised for row in rows), sum(row.length for row in rows)
        return StepResult(means=means, tokens=tokens, total_tokens=total_tokens, grad_norm=norm, sampled=sampled)

    def _examples(self, step: int) -> tuple[Sequence[Learnt], Mapping[str, float]]:
        numbers = self.order.rows(step)
        if self.source is not None:
            return self.source.examples(step, numbers)
        return [self.examples[number] for number in numbers], {}

    def _rate(self, progress: Progress) -> float:
        """The learning rate; a run that is bounded in time comes to the schedule's end with it."""
        limit, place = self.config.training.max_minutes, float(progress.step)
        if limit is not None:
            place = min(max(place, self.total * progress.seconds / (60 * limit)), self.total - 1)
        kind = self.config.optimiser.schedule
        return self.config.learning_rate * schedule.factor(place, total=self.total, warmup=self.warmup, kind=kind)

    def _passes(self, rows: Sequence[Learnt]) -> list[list[Learnt]]:
        """This process's forward passes over some rows, which are sorted by length."""
        found = passes_of(
            [row.length for row in rows],
            rank=self.world.rank,
            processes=self.world.size,
            batch_size=self.config.batching.batch_size,
            most_tokens=self.most_tokens if self.objective.packing else None,
            equally_many=self.sharded,  # a pass gathers the shards of all processes
        )
        return [[rows[row] for row in one] for one in found]

    def _resume(self) -> Progress:
        newest, progress = self.world.by_first(self._newest), Progress()
        if newest is not None:
            progress = checkpoint.load(newest, self.objective.model, self.optimiser, self.world)
            say(f"going on after step {progress.step} of {self.total}")
        self.world.by_first(lambda: self._keep_curve(progress.step if newest else -1))
        return progress

    def _keep_curve(self, step: int) -> None:
        """Steps after the checkpoint are done again, so their lines go."""
        if self.metrics is None:
            return
        for line in self.metrics.keep(lambda line: line["step"] <= step):
            names = (*self.objective.measures, *self._of_dev(), *SAMPLED)
            self.means |= {name: line[name] for name in names if name in line}

    def _take_look(self, progress: Progress) -> None:
        """What the look at the dev split after the best step found is the newest again, as its weights are."""
        if progress.best_loss is not None:
            self.means["dev_loss"] = progress.best_loss
        for line in self.metrics.lines() if self.metrics is not None else []:
            if line["step"] == progress.best_step:
                self.means |= {name: line[name] for name in self._of_dev() if name in line}

    def _of_dev(self) -> list[str]:
        return [f"dev_{name}" for name in self.objective.measures]

    def _newest(self) -> Path | None:
        checkpoint.sweep(self.checkpoints)
        return checkpoint.latest(self.checkpoints)

    @torch.no_grad()
    def _look(self, progress: Progress) -> Progress:
        """Measures the dev split, and keeps the best weights where a run may end early."""
        started = time.monotonic()
        self.objective.eval()
        ordered = sorted(self.dev, key=lambda row: row.length)
        sums_M = torch.zeros(len(self.objective.measures), dtype=torch.float64)
        for rows in self._passes(ordered):
            sums_M += self.objective.sums(rows).cpu()
        weight = sum(row.weight for row in self.dev)
        found = [total / weight for total in self.world.total(*sums_M.tolist())]
        self.means |= (means := dict(zip(self._of_dev(), found, strict=True)))
        loss = means["dev_loss"]
        require_finite(step_of(self.folder, progress.step), f"a loss of {loss} on the dev split", loss)
        self.objective.train()
        if self.sharded:
            sharded: Any = self.objective
            sharded.reshard()  # no backward pass does it: what is saved next must be the shards
        if self.metrics is not None:
            self.metrics.add({"step": progress.step, **means})
        (seconds,) = self.world.most(time.monotonic() - started)
        progress = replace(progress, seconds=progress.seconds + seconds)
        if progress.step == 0:
            return replace(progress, loss_before=loss)
        if self.config.training.patience is None:
            return progress
        if progress.best_loss is not None and not loss < progress.best_loss:
            return replace(progress, misses=progress.misses + 1)
        progress = replace(progress, best_step=progress.step, best_loss=loss, misses=0)
        checkpoint.save_best(self.checkpoints, self.objective.model, progress, self.world)
        return progress

    def _record(self, progress: Progress, result: StepResult, seconds: float) -> None:
        if self.metrics is None:
            return
        line = result.line(
            step=progress.step,
            epoch=progress.step / self.order.steps_per_epoch,
            learning_rate=self.optimiser.param_groups[0]["lr"],
            seconds=seconds,
        )
        self.metrics.add(line)
        self.metrics.show(line, dev_loss=self.means.get("dev_loss"), left_s=self._left(progress))

    def _left(self, progress: Progress) -> float:
        """Seconds to the end at the pace so far."""
        left_s = progress.seconds / progress.step * (self.total - progress.step)
        limit = self.config.training.max_minutes
        return left_s if limit is None else min(left_s, max(0.0, 60 * limit - progress.seconds))
