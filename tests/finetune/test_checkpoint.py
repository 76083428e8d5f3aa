import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from finetune import checkpoint
from finetune.adapters import add_lora
from finetune.checkpoint import PROGRESS, TENSORS, Progress
from finetune.config import Lora
from finetune.distributed import World
from finetune.errors import BadInput
from finetune.student import load_base, trainable

Stateful = tuple[Any, torch.optim.Optimizer]


@pytest.fixture
def stateful(tiny_folder: Path) -> Callable[[int], Stateful]:
    def make(seed: int) -> Stateful:
        model = add_lora(load_base(str(tiny_folder), torch.float32).model, Lora(rank=2), seed=seed)
        return model, torch.optim.AdamW(trainable(model).values(), lr=0.1, fused=True)

    return make


def newest_in(folder: Path) -> Path:
    found = checkpoint.latest(folder)
    assert found is not None
    return found


def learn(model: Any, optimiser: torch.optim.Optimizer) -> None:
    for weight in trainable(model).values():
        weight.grad = torch.randn_like(weight)
    optimiser.step()


def test_weights_moments_and_dice_come_back(stateful: Callable[[int], Stateful], tmp_path: Path) -> None:
    model, optimiser = stateful(0)
    learn(model, optimiser)
    checkpoint.save(tmp_path, model, optimiser, Progress(5, 2.5), World())
    learn(model, optimiser)
    other, other_optimiser = stateful(1)
    assert checkpoint.load(newest_in(tmp_path), other, other_optimiser, World()) == Progress(5, 2.5)
    learn(other, other_optimiser)  # the same random gradients, as the dice came back
    for name, weight in trainable(model).items():
        assert torch.equal(weight, trainable(other)[name])


def test_only_the_newest_is_kept_and_half_written_ones_are_swept(
    stateful: Callable[[int], Stateful], tmp_path: Path
) -> None:
    model, optimiser = stateful(0)
    learn(model, optimiser)
    checkpoint.save(tmp_path, model, optimiser, Progress(9, 0), World())
    (tmp_path / "partial-x").mkdir()
    assert newest_in(tmp_path).name == "step-00000009"
    checkpoint.save(tmp_path, model, optimiser, Progress(10, 0), World())
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000010"]


def flip_a_bit(path: Path) -> None:
    content = bytearray((path / TENSORS).read_bytes())
    content[-1] ^= 1
    (path / TENSORS).write_bytes(content)


def cut(path: Path) -> None:
    (path / TENSORS).write_bytes((path / TENSORS).read_bytes()[:100])


def lose(path: Path) -> None:
    (path / PROGRESS).unlink()


def other_content(path: Path) -> None:
    (path / PROGRESS).write_text(json.dumps([1]))


@pytest.mark.parametrize("damage", [flip_a_bit, cut, lose, other_content])
def test_a_damaged_checkpoint_is_one_clear_line(
    stateful: Callable[[int], Stateful], tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    model, optimiser = stateful(0)
    learn(model, optimiser)
    checkpoint.save(tmp_path, model, optimiser, Progress(1, 0), World())
    newest = newest_in(tmp_path)
    damage(newest)
    with pytest.raises(BadInput, match=rf"{newest}: damaged checkpoint .*delete that folder") as caught:
        checkpoint.load(newest, model, optimiser, World())
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_model_is_refused(
    stateful: Callable[[int], Stateful], tmp_path: Path, tiny_folder: Path
) -> None:
    model, optimiser = stateful(0)
    learn(model, optimiser)
    checkpoint.save(tmp_path, model, optimiser, Progress(1, 0), World())
    wide = add_lora(load_base(str(tiny_folder), torch.float32).model, Lora(rank=4), seed=0)
    with pytest.raises(BadInput, match="damaged checkpoint"):
        checkpoint.load(newest_in(tmp_path), wide, torch.optim.AdamW(trainable(wide).values()), World())
