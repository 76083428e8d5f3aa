"""A run's state on disk, there in full or not at all, from which it goes on bit for bit."""

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from finetune.distributed import World
from finetune.errors import BadInput
from finetune.shards import like, whole
from finetune.student import trainable

TENSORS, PROGRESS = "state.safetensors", "progress.json"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. The order of the data and the learning rate are pure functions of it."""

    step: int = 0  # optimiser steps done
    seconds: float = 0.0  # spent on them, over all sittings
    best_step: int | None = None  # the step whose dev loss was the lowest, where it is kept
    best_loss: float | None = None
    misses: int = 0  # looks at the dev split since then


def save(folder: Path, model: Any, optimiser: torch.optim.Optimizer, progress: Progress, world: World) -> None:
    """Writes `folder/step-<n>` and then removes what it replaces; every process takes part, the first one writes.

    Args:
        folder: the run's checkpoints.
        model: its learning parameters are stored.
        optimiser: its moments are stored.
        progress: the step that this state follows.
        world: the processes.
    """
    tensors = _tensors(model, optimiser, world)

    def write() -> None:
        target = folder / f"step-{progress.step:08d}"
        _write(target, tensors, asdict(progress))
        kept = {target, best(folder, progress.best_step)}
        for old in folder.iterdir():
            if old not in kept:
                shutil.rmtree(old)

    world.by_first(write)


def save_best(folder: Path, model: Any, progress: Progress, world: World) -> None:
    """Writes the learning parameters of the best step so far, beside those of the checkpoint's own best."""
    tensors = {name: whole(weight.detach()).contiguous() for name, weight in trainable(model).items()}
    world.by_first(lambda: _write(best(folder, progress.best_step), tensors, asdict(progress)))


@torch.no_grad()
def restore_best(folder: Path, model: Any, progress: Progress) -> None:
    """Puts the weights of the best step into the model.

    Raises:
        BadInput: they are damaged.
    """
    _, tensors = _read(best(folder, progress.best_step))
    for name, weight in trainable(model).items():
        weight.copy_(like(tensors[name], weight))


def best(folder: Path, step: int | None) -> Path:
    """Where the weights of the best step are."""
    return folder / f"best-{step or 0:08d}"


def latest(folder: Path) -> Path | None:
    """The newest complete checkpoint, or None."""
    return max(folder.glob("step-*"), default=None)


def load(checkpoint: Path, model: Any, optimiser: torch.optim.Optimizer, world: World) -> Progress:
    """Puts the stored state into model, optimiser and the random generators.

    A run may go on with another number of processes; those that are new draw their own random numbers.

    Raises:
        BadInput: the checkpoint is damaged, or belongs to another model.
    """
    facts, tensors = _read(checkpoint)
    try:
        progress = Progress(**facts)
        _restore(tensors, model, optimiser, world)
    except (KeyError, TypeError, RuntimeError) as error:
        raise _damaged(checkpoint, error) from error
    return progress


def _tensors(model: Any, optimiser: torch.optim.Optimizer, world: World) -> dict[str, Tensor]:
    weights = trainable(model)
    tensors = {f"weight/{name}": whole(weight.detach()).contiguous() for name, weight in weights.items()}
    for name, weight in weights.items():
        for key, value in optimiser.state[weight].items():
            tensors[f"optimiser/{name}/{key}"] = whole(value).contiguous()
    for rank, state in enumerate(world.gathered(torch.get_rng_state())):
        tensors[f"rng/cpu/{rank}"] = state
    if torch.cuda.is_available():
        for rank, state in enumerate(world.gathered(torch.cuda.get_rng_state())):
            tensors[f"rng/cuda/{rank}"] = state
    return tensors


@torch.no_grad()
def _restore(tensors: dict[str, Tensor], model: Any, optimiser: torch.optim.Optimizer, world: World) -> None:
    for name, weight in trainable(model).items():
        weight.copy_(like(tensors[f"weight/{name}"], weight))
        prefix = f"optimiser/{name}/"
        optimiser.state[weight] = {
            # AdamW keeps its step count apart, its moments as the weight is.
            key.removeprefix(prefix): value if value.ndim == 0 else like(value, weight)
            for key, value in tensors.items()
            if key.startswith(prefix)
        }
    if (state := tensors.get(f"rng/cpu/{world.rank}")) is not None:
        torch.set_rng_state(state)
    if torch.cuda.is_available() and (state := tensors.get(f"rng/cuda/{world.rank}")) is not None:
        torch.cuda.set_rng_state(state)


def _write(target: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="partial-", dir=target.parent))
    safetensors.torch.save_file(tensors, scratch / TENSORS)
    text = json.dumps({**facts, "sha256": _sha256(scratch / TENSORS)})
    (scratch / PROGRESS).write_text(text, encoding="utf-8")
    for path in (scratch / TENSORS, scratch / PROGRESS, scratch):
        _to_disk(path)
    if target.exists():  # the same step, done again after a kill
        shutil.rmtree(target)
    scratch.rename(target)
    _to_disk(target.parent)


def _to_disk(path: Path) -> None:
    # The older checkpoint goes once this one is there: a power cut must find one of them whole.
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        facts = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
        if _sha256(folder / TENSORS) != facts.pop("sha256"):
            raise BadInput("its SHA-256 is not the recorded one")  # noqa: TRY301 - one mend for every kind of damage
        return facts, safetensors.torch.load_file(folder / TENSORS)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError, BadInput) as error:
        raise _damaged(folder, error) from error


def _damaged(folder: Path, error: Exception) -> BadInput:
    return BadInput(f"{folder}: damaged checkpoint ({error}); delete that folder to train from the start")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
