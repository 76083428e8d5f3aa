"""Losses of the teacher's probabilities on a GPU: the numbers of a CPU, and a model that learns from them."""

# ruff: noqa: N806 - shape suffixes

from pathlib import Path

import pytest
import torch
from configs import config
from torch import nn
from toys import make_told_row, write_dataset

from finetune import runs, train
from finetune.config import Loss
from finetune.losses import fused_bucket_sampled


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-4), (torch.bfloat16, 3e-2)])
@pytest.mark.parametrize("learning_head", [False, True])
def test_the_fused_head_gives_a_cpu_s_numbers(dtype: torch.dtype, most: float, learning_head: bool) -> None:
    torch.manual_seed(0)
    head, hidden_ND = nn.Linear(64, 5000, bias=False), torch.randn(300, 64)
    logp_NK, ids_NK = torch.randn(300, 5000).log_softmax(1).topk(20)
    label_N, found = torch.randint(5000, (300,)), []
    for device, number in (("cpu", torch.float64), ("cuda", dtype)):
        here = nn.Linear(64, 5000, bias=False, device=device, dtype=number).requires_grad_(learning_head)
        here.weight.data.copy_(head.weight.data)
        states_ND = hidden_ND.to(device, number).requires_grad_()
        given = (one.to(device) for one in (ids_NK, logp_NK, label_N))
        loss = fused_bucket_sampled(states_ND, here, *given).mean()
        loss.backward()
        assert states_ND.grad is not None
        grads = [states_ND.grad, *([here.weight.grad] if here.weight.grad is not None else [])]
        found.append([loss.detach(), *grads])
    for expected, ours in zip(*found, strict=True):
        off = torch.linalg.vector_norm(ours.cpu().double() - expected)
        assert off <= most * torch.linalg.vector_norm(expected)


@pytest.mark.parametrize("kind", ["bucket", "sampled", "chunks"])
def test_the_real_model_learns_from_probabilities_in_bfloat16(kind: str, tmp_path: Path) -> None:
    rows = [make_told_row(number, prompt=f"word {number}", answer="abc" * (1 + number % 3)) for number in range(8)]
    dataset = write_dataset(tmp_path / "told", {"train": rows}, picked=False)
    facts = train(dataset, tmp_path / "run", config().model_copy(update={"loss": Loss.model_validate({"kind": kind})}))
    assert facts.soft["rows"] == len(rows)
    losses = [line["loss"] for line in runs.read_lines(tmp_path / "run" / runs.METRICS) if "loss" in line]
    assert losses[-1] < losses[0]
