"""One case of head_and_loss.py in a process of its own; its figures as a JSON line, one of each per repeat."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SETTINGS = json.loads(sys.argv[1])
N, V, D, K = (SETTINGS[name] for name in ("positions", "vocabulary", "width", "listed"))
REST = 0.2  # R
TRL_CHUNK = 32_768  # trl.trainer.utils._CHUNKED_LOGPROB_CHUNK_SIZE


def inputs() -> tuple[Tensor, nn.Linear, tuple[Tensor, Tensor, Tensor]]:
    """Hidden states, the head and (ids_NK, logp_NK, label_N): every fifth label is not listed."""
    torch.manual_seed(0)
    dtype = getattr(torch, SETTINGS["dtype"])
    hidden = torch.randn(N, D).to(dtype).requires_grad_()
    head = nn.Linear(D, V, bias=False, dtype=dtype)
    head.requires_grad_(SETTINGS["head"] == "learning")
    # One listed token from each of K parts of the vocabulary: distinct, and spread like a teacher's.
    ids = torch.arange(K) * (V // K) + torch.randint(V // K - 1, (N, K))
    logp = torch.log_softmax(torch.randn(N, K) * 2, 1) + torch.log1p(torch.tensor(-REST))
    label = torch.where(torch.arange(N) % 5 == 0, ids[:, 0] + 1, ids[:, 1])
    return hidden, head, (ids, logp, label)


def summed() -> Callable[..., Tensor]:
    """The side's summed loss as a function of `inputs`."""
    if SETTINGS["side"] == "trl":
        from trl.kernels import ChunkedLogProbFunction  # noqa: PLC0415 - in that environment only

        outputs = ("log_probs",)
        return lambda hidden, head, said: (
            -ChunkedLogProbFunction.apply(
                hidden, head.weight, None, said[2], 1.0, TRL_CHUNK, None, 1.0, outputs
            )[0].sum()
        )  # fmt: skip
    from finetune import losses  # noqa: PLC0415 - not in TRL's environment
    from finetune.losses import coefficients as forms  # noqa: PLC0415

    hard = SETTINGS["loss"] == "hard"
    if SETTINGS["side"] == "plain":
        plain = losses.hard if hard else losses.bucket_sampled
        return lambda hidden, head, said: plain(functional.linear(hidden, head.weight), *said).sum()
    form: Any = forms.of_hard if hard else forms.of_bucket_sampled

    def ours(hidden: Tensor, head: nn.Linear, said: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        ids, logp, label = said
        if hard:  # as finetune.supervision has it
            ids, logp = label.new_zeros(N, 0), label.new_zeros(N, 0)
        return losses.fused_sum(hidden, head, form(ids, logp, label, V))

    return ours


def resident_mb(what: str) -> float:
    """VmRSS or VmHWM, the peak since it was last reset."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{what}:")[1].split()[0]) / 1024


def run(loss_of: Callable[..., Tensor], hidden: Tensor, head: nn.Linear, said: tuple[Tensor, ...]) -> dict[str, float]:
    """One forward and backward pass, from no gradients to gradients."""
    hidden.grad = head.weight.grad = None
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    before, began, cpu = resident_mb("VmRSS"), time.monotonic(), time.process_time()
    loss = loss_of(hidden, head, said)
    loss.backward()
    took = {"seconds": time.monotonic() - began, "cpu_s": time.process_time() - cpu}
    return {**took, "peak_mb": resident_mb("VmHWM") - before, "loss": loss.item() / N}


def main() -> None:
    """Print one line; the first pass warms up and is not counted."""
    torch.set_num_threads(os.cpu_count() or 1)
    loss_of, given = summed(), inputs()
    runs = [run(loss_of, *given) for _ in range(SETTINGS["repeat"] + 1)][1:]
    print(json.dumps({name: [one[name] for one in runs] for name in runs[0]} | {"loss": runs[0]["loss"]}))


if __name__ == "__main__":
    main()
