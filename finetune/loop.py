"""The training loop: accumulate over one global token count, clip, step, measure, checkpoint, stop cleanly."""

# ruff: noqa: N806 - shape suffixes

import json
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from finetune import checkpoint, losses, runs, schedule
from finetune.checkpoint import Progress
from finetune.collate import collate, epoch_steps
from finetune.config import RunConfig
from finetune.data import open_dataset, say
from finetune.errors import Stopped
from finetune.rendering import Example, Renderer
from finetune.student import add_lora, hidden_states, load_base, logits, save_adapter, trainable

TALK_EVERY_S = 5.0


def train(dataset: str | Path, out: str | Path, config: RunConfig | None = None) -> runs.Facts:
    """Trains a student on a dataset folder into a run folder; goes on where an interrupted run stopped.

    Args:
        dataset: a folder that `harvester export` wrote.
        out: the run's folder; one that holds the same run is resumed, or left alone if it is finished.
        config: what to train and how.

    Returns:
        The finished run's facts (also in run.json).

    Raises:
        BadInput: the dataset, the model or the run folder cannot be used.
        Stopped: interrupted; the state is stored.
    """
    started, config, folder = time.monotonic(), config or RunConfig(), Path(out)
    data = open_dataset(Path(dataset))
    rows = data.split("train")
    facts = runs.begin(folder, config, data)
    if facts.status == "trained":
        say(f"{folder}: already trained")
        return facts
    base = load_base(config.model)
    renderer = Renderer(base.tokenizer, base.stop_ids)
    rendered = renderer.rows(rows, config.batching.max_length)
    for reason, count in rendered.dropped.items():
        say(f"train: {count} of {len(rows)} rows left out: {reason}")
    examples = rendered.require()
    dev = renderer.rows(data.splits["dev"], config.batching.max_length).examples if data.splits.get("dev") else []
    model = add_lora(base.model, config.lora, seed=config.training.seed)
    loop = Loop(model=model, examples=examples, dev=dev, pad_id=base.pad_id, config=config, folder=folder)
    loading_s = time.monotonic() - started
    with stop_on_signals() as stop:
        done = loop.run(stop)
    save_adapter(model, folder / runs.ADAPTER)
    facts = facts.model_copy(
        update={
            "status": "trained",
            "rows": {"train": len(examples), "dev": len(dev)},
            "dropped": rendered.dropped,
            "longest_answer": max(example.supervised for example in examples),
            "steps": done.step,
            "train_loss": loop.train_loss,
            "dev_loss": loop.dev_loss,
            "train_minutes": (loading_s + done.seconds) / 60,
        }
    )
    runs.write_facts(folder, facts)
    return facts


@dataclass(frozen=True, slots=True)
class StepResult:
    """One optimiser step."""

    loss: float  # nats per supervised token, over the whole step
    tokens: int  # supervised
    grad_norm: float  # before clipping


def accumulate(model: Any, micro_batches: Sequence[Sequence[Example]], pad_id: int) -> tuple[float, int]:
    """Adds the gradient of the mean loss over all supervised tokens of all micro-batches.

    One token count for the whole step: a mean of means would give a token in a short batch more weight.

    Returns:
        The mean loss in nats and the number of supervised tokens.
    """
    tokens = sum(example.supervised for batch in micro_batches for example in batch)
    total = 0.0
    for batch in micro_batches:
        loss = summed_loss(model, batch, pad_id) / tokens
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total, tokens


def summed_loss(model: Any, examples: Sequence[Example], pad_id: int) -> torch.Tensor:
    """The sum of the loss over the supervised tokens of some rows, a scalar in nats."""
    device = next(model.parameters()).device
    batch = collate(examples, pad_id)
    hidden_BTD = hidden_states(model, batch.input_ids_BT.to(device), batch.attention_mask_BT.to(device))
    hidden_ND, label_N = losses.supervised(hidden_BTD, batch.labels_BT.to(device))
    return losses.hard(logits(model, hidden_ND), label_N).sum()


@dataclass
class Loop:
    """Training of one model on fixed examples."""

    model: Any
    examples: Sequence[Example]
    dev: Sequence[Example]
    pad_id: int
    config: RunConfig
    folder: Path
    train_loss: float | None = None
    dev_loss: float | None = None
    _talked: float = field(default=0.0, init=False)
    _laid_out: tuple[int, list[list[int]]] = field(default=(-1, []), init=False)  # epoch and its steps

    def __post_init__(self) -> None:
        """Lays out the steps; epoch e, place i is step e * steps_per_epoch + i."""
        training = self.config.training
        self.steps_per_epoch = len(self._epoch(0))
        self.total = training.epochs * self.steps_per_epoch
        if training.max_steps is not None:
            self.total = min(self.total, training.max_steps)
        self.warmup = int(self.config.optimiser.warmup_fraction * self.total)
        # fused: one pass over the parameters instead of a dozen.
        self.optimiser = torch.optim.AdamW(
            trainable(self.model).values(),
            lr=self.config.optimiser.learning_rate,
            weight_decay=self.config.optimiser.weight_decay,
            fused=True,
        )
        say(f"{len(self.examples)} rows, {self.total} steps of {self.config.batching.rows_per_step} rows")

    def run(self, stop: Callable[[], bool]) -> Progress:
        """Trains to the end, from the newest checkpoint if there is one.

        Args:
            stop: asked after every step; True ends the run there, with a checkpoint.

        Raises:
            BadInput: the checkpoint is damaged.
            Stopped: `stop` said so.
        """
        progress = self._resume()
        if self.dev and progress.step == 0:
            self._measure_dev(progress)
        self.model.train()
        while progress.step < self.total:
            started = time.monotonic()
            result = self._step(progress.step)
            seconds = time.monotonic() - started
            progress = Progress(step=progress.step + 1, seconds=progress.seconds + seconds)
            self._record(progress, result, seconds)
            if progress.step % self.steps_per_epoch == 0 or progress.step == self.total:
                progress = self._measure_dev(progress)
            stopping = progress.step < self.total and stop()
            if stopping or progress.step % self.config.training.checkpoint_every == 0 or progress.step == self.total:
                checkpoint.save(self.folder / runs.CHECKPOINTS, self.model, self.optimiser, progress)
            if stopping:
                raise Stopped(
                    f"{self.folder}: stopped after step {progress.step} of {self.total}; "
                    "run the same command again to go on"
                )
        return progress

    def _step(self, step: int) -> StepResult:
        settings = self.config.optimiser
        rate = settings.learning_rate * schedule.factor(
            step, total=self.total, warmup=self.warmup, kind=settings.schedule
        )
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        epoch, place = divmod(step, self.steps_per_epoch)
        rows, size = self._epoch(epoch)[place], self.config.batching.batch_size
        batches = [[self.examples[row] for row in rows[start : start + size]] for start in range(0, len(rows), size)]
        loss, tokens = accumulate(self.model, batches, self.pad_id)
        norm = torch.nn.utils.clip_grad_norm_(trainable(self.model).values(), settings.clip_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.train_loss = loss
        return StepResult(loss=loss, tokens=tokens, grad_norm=float(norm))

    def _epoch(self, epoch: int) -> list[list[int]]:
        if self._laid_out[0] != epoch:
            rows, seed = self.config.batching.rows_per_step, self.config.training.seed
            lengths = [len(example.ids) for example in self.examples]
            self._laid_out = (epoch, epoch_steps(lengths, rows, seed=seed, epoch=epoch))
        return self._laid_out[1]

    def _resume(self) -> Progress:
        metrics = self.folder / runs.METRICS
        newest = checkpoint.latest(self.folder / runs.CHECKPOINTS)
        progress = Progress(0, 0.0)
        if newest is not None:
            progress = checkpoint.load(newest, self.model, self.optimiser)
            say(f"going on after step {progress.step} of {self.total}")
        # Steps after the checkpoint are done again, so their lines go.
        lines = runs.read_lines(metrics) if metrics.exists() else []
        kept = [line for line in lines if newest and line["step"] <= progress.step]
        for line in kept:
            self.train_loss, self.dev_loss = line.get("loss", self.train_loss), line.get("dev_loss", self.dev_loss)
        runs.write_text(metrics, runs.dump_lines(kept))
        return progress

    @torch.inference_mode()
    def _measure_dev(self, progress: Progress) -> Progress:
        if not self.dev:
            return progress
        started = time.monotonic()
        self.model.eval()
        ordered, size = sorted(self.dev, key=lambda example: len(example.ids)), 2 * self.config.batching.batch_size
        batches = [ordered[start : start + size] for start in range(0, len(ordered), size)]
        total = sum(summed_loss(self.model, batch, self.pad_id).item() for batch in batches)
        self.dev_loss = total / sum(example.supervised for example in self.dev)
        self.model.train()
        self._append({"step": progress.step, "dev_loss": self.dev_loss})
        return Progress(progress.step, progress.seconds + time.monotonic() - started)

    def _record(self, progress: Progress, result: StepResult, seconds: float) -> None:
        self._append(
            {
                "step": progress.step,
                "epoch": progress.step / self.steps_per_epoch,
                "loss": result.loss,
                "learning_rate": self.optimiser.param_groups[0]["lr"],
                "grad_norm": result.grad_norm,
                "tokens": result.tokens,
                "tokens_per_s": result.tokens / seconds,
            }
        )
        now = time.monotonic()
        if now - self._talked >= TALK_EVERY_S or progress.step == self.total:
            self._talked = now
            left = progress.seconds / progress.step * (self.total - progress.step)
            dev = "" if self.dev_loss is None else f"  dev {self.dev_loss:.3f}"
            say(
                f"step {progress.step}/{self.total}  loss {result.loss:.3f}{dev}  "
                f"{result.tokens / seconds:.0f} supervised tok/s  {left:.0f} s left"
            )

    def _append(self, line: dict[str, Any]) -> None:
        with (self.folder / runs.METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
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
