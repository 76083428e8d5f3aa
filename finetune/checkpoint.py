"""A run's state on disk, there in full or not at all, from which it goes on bit for bit."""

import hashlib
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from finetune.errors import BadInput
from finetune.student import trainable

TENSORS = "state.safetensors"
PROGRESS = "progress.json"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. The order of the data and the learning rate are pure functions of `step`."""

    step: int  # optimiser steps done
    seconds: float  # spent on them, over all sittings


def save(folder: Path, model: Any, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
    """Writes `folder/step-<n>` and then removes the older ones.

    Args:
        folder: the run's checkpoints.
        model: its learning parameters are stored.
        optimiser: its moments are stored.
        progress: the step that this state follows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"step-{progress.step:08d}"
    scratch = Path(tempfile.mkdtemp(prefix="partial-", dir=folder))
    safetensors.torch.save_file(_tensors(model, optimiser), scratch / TENSORS)
    facts = {**asdict(progress), "sha256": _sha256(scratch / TENSORS)}
    (scratch / PROGRESS).write_text(json.dumps(facts), encoding="utf-8")
    scratch.rename(target)
    for old in folder.iterdir():
        if old != target:
            shutil.rmtree(old)


def latest(folder: Path) -> Path | None:
    """The newest complete checkpoint, or None."""
    return max(folder.glob("step-*"), default=None)


def load(checkpoint: Path, model: Any, optimiser: torch.optim.Optimizer) -> Progress:
    """Puts the stored state into model, optimiser and the random generators.

    Raises:
        BadInput: the checkpoint is damaged, or belongs to another model.
    """
    try:
        facts = json.loads((checkpoint / PROGRESS).read_text(encoding="utf-8"))
        progress = Progress(step=facts["step"], seconds=facts["seconds"])
        if _sha256(checkpoint / TENSORS) != facts["sha256"]:
            raise BadInput("its SHA-256 is not the recorded one")  # noqa: TRY301 - one mend for every kind of damage
        _restore(safetensors.torch.load_file(checkpoint / TENSORS), model, optimiser)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, BadInput) as error:
        raise BadInput(
            f"{checkpoint}: damaged checkpoint ({error}); delete that folder to train from the start"
        ) from error
    return progress


def _tensors(model: Any, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    weights = trainable(model)
    tensors = {f"weight/{name}": weight.detach().contiguous() for name, weight in weights.items()}
    for name, weight in weights.items():
        for key, value in optimiser.state[weight].items():
            tensors[f"optimiser/{name}/{key}"] = value.contiguous()
    tensors["rng/cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["rng/cuda"] = torch.cuda.get_rng_state()
    return tensors


@torch.no_grad()
def _restore(tensors: dict[str, Tensor], model: Any, optimiser: torch.optim.Optimizer) -> None:
    for name, weight in trainable(model).items():
        weight.copy_(tensors[f"weight/{name}"])
        prefix = f"optimiser/{name}/"
        optimiser.state[weight] = {
            # AdamW keeps its step count on the CPU, its moments beside the weight.
            key.removeprefix(prefix): value if value.ndim == 0 else value.to(weight.device)
            for key, value in tensors.items()
            if key.startswith(prefix)
        }
    torch.set_rng_state(tensors["rng/cpu"])
    if torch.cuda.is_available() and "rng/cuda" in tensors:
        torch.cuda.set_rng_state(tensors["rng/cuda"])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
