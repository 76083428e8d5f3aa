"""From a dataset to a run: everything around the loop."""

import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from finetune import adapters, runs, student
from finetune.checkpoint import Progress
from finetune.config import RunConfig
from finetune.data import Dataset, open_dataset, say
from finetune.distributed import CPU, World, join
from finetune.errors import BadInput
from finetune.loop import Loop, stop_on_signals
from finetune.objective import make_objective
from finetune.rendering import Example, Rendered, Renderer
from finetune.sharding import shard
from finetune.student import Base, prepare

MAX_LENGTH = 1024
"""Tokens of a row where nothing else is stated, and the model's context is no shorter."""
QUANTILES = 20


def train(
    dataset: str | Path, out: str | Path, config: RunConfig | None = None, *, tensorboard: bool = False
) -> runs.Facts:
    """Trains a student on a dataset folder into a run folder; goes on where an interrupted run stopped.

    Under torchrun every process calls it, and they train one student.

    Args:
        dataset: a folder that `harvester export` wrote.
        out: the run's folder; one that holds the same run is resumed, or left alone if it is finished.
        config: what to train and how.
        tensorboard: write RUN/tensorboard too.

    Returns:
        The finished run's facts (also in run.json).

    Raises:
        BadInput: the dataset, the model or the run folder cannot be used.
        Stopped: interrupted; the state is stored.
    """
    started, config, folder = time.monotonic(), config or RunConfig(), Path(out)
    data = open_dataset(Path(dataset))
    with join() as world, runs.held(folder) if world.first else nullcontext():
        facts = world.by_first(lambda: runs.begin(folder, config, data))
        if facts.status == "trained":
            say(f"{folder}: already trained")
            return facts
        sharded = config.method == "full" and world.size > 1
        base, model = prepare(config, device=CPU if sharded else None)
        rendered, dev = _render(base, data, config)
        _tell_what_is_missing(rendered, len(data.split("train")))
        objective = make_objective(model, base, config, world.device)
        if config.batching.packing and not objective.packing:
            say(f"{config.model}: packed rows would see each other in this architecture; rows are padded instead")
        if sharded:
            shard(objective, world.device)
        loop = Loop(objective, rendered.require(), dev, config, folder, world, tensorboard)
        loading_s = time.monotonic() - started
        with stop_on_signals() as stop:
            done = loop.run(stop)
        _save(model, base, config, folder, world)
        told = {
            **_outcome(loop, done, loading_s),
            **_shape(rendered, dev),
            "dtype": student.dtype_name(base.model.dtype),
        }
        facts = facts.model_copy(update=told)
        world.by_first(lambda: runs.write_facts(folder, facts))
    return facts


def _render(base: Base, data: Dataset, config: RunConfig) -> tuple[Rendered, list[Example]]:
    stated, context = config.batching.max_length, base.context or sys.maxsize
    if stated is not None and stated > context:
        raise BadInput(
            f"--max-length {stated}: {config.model} has a context of {context} tokens; give no more than that"
        )
    most, cut = stated or min(MAX_LENGTH, context), config.batching.too_long == "cut"
    renderer = Renderer(base.tokenizer, base.stop_ids)
    dev = renderer.rows(data.splits.get("dev") or [], most, cut=cut).examples
    if config.training.patience is not None and not dev:
        raise BadInput(f"--patience: {data.path} has no split dev to look at; give the recipe a `dev` file")
    return renderer.rows(data.split("train"), most, cut=cut), dev


def _save(model: Any, base: Base, config: RunConfig, folder: Path, world: World) -> None:
    if config.method != "full":
        world.by_first(lambda: adapters.save_adapter(model, folder / runs.ADAPTER))
        return
    weights = student.whole_weights(model)
    world.by_first(lambda: student.save_weights(base, weights, folder / runs.WEIGHTS))


def _tell_what_is_missing(rendered: Rendered, rows: int) -> None:
    for reason, count in rendered.dropped.items():
        say(f"train: {count} of {rows} rows left out: {reason}")
    if rendered.cut_rows:
        lost = f"{rendered.cut_tokens} tokens of answers"
        say(f"train: {rendered.cut_rows} of {rows} rows cut, {lost} lost; see --max-length")


def _outcome(loop: Loop, done: Progress, loading_s: float) -> dict[str, Any]:
    return {
        "status": "trained",
        "steps": done.step,
        "ended_by": loop.ended_by,
        "best_step": done.best_step,
        "train_loss": loop.train_loss,
        "dev_loss": loop.dev_loss,
        "train_minutes": (loading_s + done.seconds) / 60,
        "packed": loop.objective.packing,
        "device": loop.objective.device.type,
        "processes": loop.world.size,
    }


def _shape(rendered: Rendered, dev: Sequence[Example]) -> dict[str, Any]:
    """What the rows learnt from are like, in the student's tokens."""
    examples = rendered.examples
    return {
        "rows": {"train": len(examples), "dev": len(dev)},
        "dropped": rendered.dropped,
        "cut": {"rows": rendered.cut_rows, "tokens": rendered.cut_tokens},
        "longest_answer": max(example.supervised for example in examples),
        "tokens": {
            "supervised": sum(example.supervised for example in examples),
            "total": sum(len(example.ids) for example in examples),
        },
        "lengths": {
            "prompt": _quantiles([len(example.ids) - example.supervised for example in examples]),
            "answer": _quantiles([example.supervised for example in examples]),
        },
    }


def _quantiles(values: list[int]) -> list[int]:
    ordered = sorted(values)
    return [ordered[round(place / QUANTILES * (len(ordered) - 1))] for place in range(QUANTILES + 1)]
