"""A run's state on disk, from which it goes on bit for bit.

The first process alone reads and writes it, so several machines need no disk in common.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from finetune import stored
from finetune.distributed import World
from finetune.shards import gathered, like
from finetune.student import trainable

STEP = "step"
"""AdamW's own count, the one value of its state that is not as the weight is."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. The order of the data and the learning rate are pure functions of it."""

    step: int = 0  # optimiser steps done
    seconds: float = 0.0  # spent on them, over all sittings
    loss_before: float | None = None  # of the dev split, before the first step
    best_step: int | None = None  # the step whose dev loss was the lowest, where it is kept
    best_loss: float | None = None
    misses: int = 0  # looks at the dev split since then
    supervised_tokens: int = 0  # learnt in the steps done, each as often as it was
    total_tokens: int = 0


def save(folder: Path, model: Any, optimiser: torch.optim.Optimizer, progress: Progress, world: World) -> None:
    """Writes `folder/step-<n>` and then removes what it replaces; every process takes part, the first one writes.

    Args:
        folder: the run's checkpoints.
        model: its learning parameters are stored.
        optimiser: its moments are stored.
        progress: the step that this state follows.
        world: the processes.

    Raises:
        BadInput: the disk is full, or cannot be written.
    """
    tensors = gathered(_state(model, optimiser), keep=world.first) | _dice(world)

    def write() -> None:
        target = folder / f"step-{progress.step:08d}"
        stored.write(target, tensors, asdict(progress))
        kept = {target, best(folder, progress.best_step)}
        for old in (*folder.glob("step-*"), *folder.glob("best-*")):
            if old not in kept:
                shutil.rmtree(old)

    world.by_first(write)


def save_best(folder: Path, model: Any, progress: Progress, world: World) -> None:
    """Writes the learning parameters of the best step so far, beside those of the checkpoint's own best.

    Raises:
        BadInput: the disk is full, or cannot be written.
    """
    tensors = gathered(trainable(model).items(), keep=world.first)
    world.by_first(lambda: stored.write(best(folder, progress.best_step), tensors, asdict(progress)))


@torch.no_grad()
def restore_best(folder: Path, model: Any, progress: Progress, world: World) -> None:
    """Puts the weights of the best step into the model; every process takes part, the first one reads.

    Raises:
        BadInput: they are damaged.
    """
    weights, tensors = trainable(model), dict[str, Tensor]()

    def read() -> None:
        checkpoint = best(folder, progress.best_step)
        tensors.update(stored.read(checkpoint)[1])
        for name, weight in weights.items():
            _require(checkpoint, name, tensors.get(name), weight)

    world.by_first(read)
    for name, weight in weights.items():
        weight.copy_(_given(tensors.get(name), weight, world))


def best(folder: Path, step: int | None) -> Path:
    """Where the weights of the best step are."""
    return folder / f"best-{step or 0:08d}"


def latest(folder: Path) -> Path | None:
    """The newest complete checkpoint, or None."""
    return max(folder.glob("step-*"), default=None)


def sweep(folder: Path) -> None:
    """Removes what a run that was killed while it wrote left behind."""
    for path in folder.glob("partial-*"):
        if stored.PARTIAL.fullmatch(path.name):
            shutil.rmtree(path)


def load(checkpoint: Path, model: Any, optimiser: torch.optim.Optimizer, world: World) -> Progress:
    """Puts the stored state into model, optimiser and the random generators; every process takes part, the first reads.

    A run may go on with another number of processes; those that are new draw their own random numbers.

    Raises:
        BadInput: the checkpoint is damaged, or belongs to another model.
    """
    tensors: dict[str, Tensor] = {}

    def read() -> tuple[Progress, list[str], dict[str, Tensor]]:
        facts, found = stored.read(checkpoint)
        try:
            progress = Progress(**facts)
        except TypeError as error:
            raise stored.damaged(checkpoint, error) from error
        _check(checkpoint, found, model)
        tensors.update(found)
        return progress, list(found), {name: value for name, value in found.items() if _is_small(name)}

    progress, names, small = world.by_first(read)
    _restore(names, tensors | small, model, optimiser, world)
    _throw(small, world)
    return progress


def _state(model: Any, optimiser: torch.optim.Optimizer) -> Iterator[tuple[str, Tensor]]:
    for name, weight in trainable(model).items():
        yield f"weight/{name}", weight
        for key, value in optimiser.state[weight].items():
            yield f"optimiser/{name}/{key}", value


def _dice(world: World) -> dict[str, Tensor]:
    """The random generators of all processes."""
    found = {f"rng/cpu/{rank}": state for rank, state in enumerate(world.gathered(torch.get_rng_state()))}
    if torch.cuda.is_available():
        states = world.gathered(torch.cuda.get_rng_state())
        found |= {f"rng/cuda/{rank}": state for rank, state in enumerate(states)}
    return found


def _throw(small: Mapping[str, Tensor], world: World) -> None:
    if (state := small.get(f"rng/cpu/{world.rank}")) is not None:
        torch.set_rng_state(state)
    if torch.cuda.is_available() and (state := small.get(f"rng/cuda/{world.rank}")) is not None:
        torch.cuda.set_rng_state(state)


def _is_small(name: str) -> bool:
    """Whether a tensor goes to the other processes as it is."""
    return name.startswith("rng/") or (name.startswith("optimiser/") and name.endswith(f"/{STEP}"))


def _check(checkpoint: Path, tensors: Mapping[str, Tensor], model: Any) -> None:
    """Before any process waits for another: what is stored fits the model."""
    weights = trainable(model)
    for name, weight in weights.items():
        _require(checkpoint, name, tensors.get(f"weight/{name}"), weight)
    for name, value in tensors.items():
        kind, _, rest = name.partition("/")
        moment_of = weights.get(rest.rpartition("/")[0])
        if kind == "optimiser" and moment_of is not None and not _is_small(name):
            _require(checkpoint, name, value, moment_of)


def _require(checkpoint: Path, name: str, found: Tensor | None, weight: Tensor) -> None:
    if found is None:
        raise stored.damaged(checkpoint, f"{name} is missing")
    if found.shape != weight.shape or found.dtype != weight.dtype:
        raise stored.damaged(
            checkpoint,
            f"{name} is {found.dtype} of shape {[*found.shape]}, the model has {weight.dtype} of shape "
            f"{[*weight.shape]}",
        )


@torch.no_grad()
def _restore(
    names: list[str], tensors: Mapping[str, Tensor], model: Any, optimiser: torch.optim.Optimizer, world: World
) -> None:
    keys: dict[str, list[str]] = {}
    for name in names:
        of, _, key = name.rpartition("/")
        keys.setdefault(of, []).append(key)
    fused = {weight: group for group in optimiser.param_groups for weight in group["params"]}
    for name, weight in trainable(model).items():
        weight.copy_(_given(tensors.get(f"weight/{name}"), weight, world))
        prefix = f"optimiser/{name}"
        optimiser.state[weight] = {
            key: step_count(tensors[f"{prefix}/{key}"], weight, fused[weight])
            if key == STEP
            else _given(tensors.get(f"{prefix}/{key}"), weight, world)
            for key in keys.get(prefix, [])
        }


def step_count(value: Tensor, weight: Tensor, group: Mapping[str, Any]) -> Tensor:
    """AdamW's step count where torch keeps it: with the weight if the update runs there as one kernel, else on the CPU.

    Args:
        value: the count, on the CPU.
        weight: the parameter that it belongs to.
        group: the parameter's group of the optimiser.
    """
    return value.to(weight.device) if group.get("fused") or group.get("capturable") else value


def _given(tensor: Tensor | None, weight: Tensor, world: World) -> Tensor:
    """The first process's tensor as the weight is: on its device, in its shards."""
    placed = like(tensor, weight)
    return placed if isinstance(weight, DTensor) else world.share(placed)
