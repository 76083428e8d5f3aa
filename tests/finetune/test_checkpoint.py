import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from finetune import checkpoint, stored
from finetune.adapters import add_lora
from finetune.checkpoint import Progress
from finetune.config import Lora
from finetune.distributed import World
from finetune.errors import BadInput
from finetune.stored import FACTS, TENSORS
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


def test_only_the_newest_is_kept_and_what_a_user_put_beside_it(
    stateful: Callable[[int], Stateful], tmp_path: Path
) -> None:
    model, optimiser = stateful(0)
    learn(model, optimiser)
    checkpoint.save(tmp_path, model, optimiser, Progress(9, 0), World())
    (tmp_path / "notes.txt").write_text("mine")
    checkpoint.save(tmp_path, model, optimiser, Progress(10, 0), World())
    assert {path.name for path in tmp_path.iterdir()} == {"step-00000010", "notes.txt"}


def test_half_written_checkpoints_of_a_killed_run_are_swept(tmp_path: Path) -> None:
    for name in ("partial-a1b2c3d4", "step-00000009", "partial-results"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tmp1").write_text("half")
    checkpoint.sweep(tmp_path)
    checkpoint.sweep(tmp_path / "nowhere")
    assert {path.name for path in tmp_path.iterdir()} == {"step-00000009", "partial-results"}


def flip_a_bit(path: Path) -> None:
    content = bytearray((path / TENSORS).read_bytes())
    content[-1] ^= 1
    (path / TENSORS).write_bytes(content)


def cut(path: Path) -> None:
    (path / TENSORS).write_bytes((path / TENSORS).read_bytes()[:100])


def lose(path: Path) -> None:
    (path / FACTS).unlink()


def other_content(path: Path) -> None:
    (path / FACTS).write_text(json.dumps([1]))


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


@pytest.mark.parametrize(("fused", "device"), [(True, "meta"), (False, "cpu")])
def test_the_step_count_lies_where_torch_keeps_it(fused: bool, device: str) -> None:
    # A GPU's fused update refuses a count on the CPU, and the plain one a count on the GPU.
    placed = checkpoint.step_count(torch.tensor(3.0), torch.empty(2, device="meta"), {"fused": fused})
    assert placed.device.type == device


def test_the_state_goes_where_the_optimiser_would_have_made_it(
    stateful: Callable[[int], Stateful], tmp_path: Path
) -> None:
    model, optimiser = stateful(0)
    learn(model, optimiser)
    checkpoint.save(tmp_path, model, optimiser, Progress(1, 0), World())
    other, other_optimiser = stateful(1)
    checkpoint.load(newest_in(tmp_path), other, other_optimiser, World())
    made, found = (
        [(key, value.device, value.dtype, value.shape) for state in one.state.values() for key, value in state.items()]
        for one in (optimiser, other_optimiser)
    )
    assert sorted(map(str, found)) == sorted(map(str, made))


@pytest.mark.parametrize("changed", ["weight/", "exp_avg_sq"])
def test_a_tensor_of_another_shape_or_a_missing_one_is_one_clear_line(
    stateful: Callable[[int], Stateful], tmp_path: Path, changed: str
) -> None:
    model, optimiser = stateful(0)
    learn(model, optimiser)
    checkpoint.save(tmp_path, model, optimiser, Progress(1, 0), World())
    newest = newest_in(tmp_path)
    facts, tensors = stored.read(newest)
    name = next(name for name in tensors if changed in name)
    stored.write(newest, tensors | {name: tensors[name][:1].clone()}, facts)
    with pytest.raises(
        BadInput, match=rf"{newest}: damaged checkpoint \(.* of shape \[1, .*delete that folder"
    ) as caught:
        checkpoint.load(newest, model, optimiser, World())
    assert "\n" not in str(caught.value)
    stored.write(newest, {name: value for name, value in tensors.items() if not name.startswith("weight/")}, facts)
    with pytest.raises(BadInput, match="is missing"):
        checkpoint.load(newest, model, optimiser, World())


def test_a_full_disk_is_one_clear_line_and_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    code = """
import resource, sys, torch
from pathlib import Path
from finetune import stored
from finetune.errors import BadInput
target = Path(sys.argv[1])
stored.write(target, {"a": torch.zeros(10)}, {})
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    stored.write(target, {"a": torch.zeros(100_000)}, {})
except BadInput as error:
    print(error)
"""
    target = tmp_path / "step-00000001"
    done = subprocess.run([sys.executable, "-c", code, str(target)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{target}: File too large; raise the limit")
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    assert stored.read(target)[1]["a"].shape == (10,)
