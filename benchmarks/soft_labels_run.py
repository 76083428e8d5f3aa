"""One run of soft_labels.py in a process of its own: train, then measure on the held-out rows; a JSON line.

Everything is per held-out row, given the teacher's own answer up to each place.

Of a student with the teacher's tokens, means over them: the cross-entropy with the answer, how often the likeliest
token is the teacher's likeliest, and the full divergence KL(p‖q) over all tokens; p is the teacher's by transformers in
float32, from the weights that answered by llama.cpp.

Of one with other tokens ("by byte"), on answers that are not cut: the cross-entropy with answer and end of turn for
each byte, which compares between tokenizers (less the teacher's own it estimates the divergence over texts, as answers
are sampled from the teacher), and the mean divergence from what the API listed (loss C) where that means the same to
both (finetune/boundaries.py).
"""

# ruff: noqa: N806 - shape suffixes

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from finetune.adapters import load_adapter
from finetune.collate import Soft, padded, soft_of
from finetune.config import Loss, RunConfig
from finetune.data import open_dataset
from finetune.losses import bucket, supervised
from finetune.rendering import Example, Renderer
from finetune.runs import ADAPTER, WEIGHTS
from finetune.soft_labels import teach
from finetune.student import Base, hidden_states, load_base, output_head
from finetune.training import train

SETTINGS = json.loads(sys.argv[1])
LONGEST = 1024
"""Tokens of a held-out row, where a model does not say how many it can take."""


def held_out(base: Base, max_length: int) -> list[Example]:
    """The test split, cut as the train split is."""
    rows = open_dataset(Path(SETTINGS["dataset"])).split("test")
    return Renderer(base.tokenizer, base.stop_ids).rows(rows, max_length, cut=True).examples


@torch.inference_mode()
def states(base: Base, examples: list[Example]) -> Iterator[tuple[Tensor, Tensor]]:
    """What the head is given at each supervised token of a row, and those tokens."""
    for example in examples:
        batch = padded([example], base.pad_id)
        yield supervised(hidden_states(base.model, batch), batch.labels_BT)


def teacher_states(examples: list[Example]) -> dict[str, Any]:
    """The teacher's hidden states of each row and its head; computed once, as they are the same for all runs."""
    path = Path(SETTINGS["teacher"])
    if not path.exists():
        base = load_base(SETTINGS["teacher_model"], torch.float32)
        found = [hidden.clone() for hidden, _ in states(base, examples)]
        scratch = path.with_suffix(".new")
        torch.save({"states": found, "head": output_head(base.model).weight.detach()}, scratch)
        scratch.rename(path)
    loaded: dict[str, Any] = torch.load(path, weights_only=True, mmap=True)
    return loaded


@torch.inference_mode()
def measured_by_byte(base: Base) -> list[dict[str, float]]:
    """The same where teacher and student have other tokens; rows without a list that both can take are left out."""
    data = open_dataset(Path(SETTINGS["dataset"]))
    rendered = Renderer(base.tokenizer, base.stop_ids).rows(data.split("test"), base.context or LONGEST)
    examples = teach(rendered, base, Loss(kind="chunks"), data.notes).examples
    found = []
    for example, row, (hidden_ND, label_N) in zip(examples, rendered.rows, states(base, examples), strict=True):
        soft, z_NV = soft_of([example]), output_head(base.model)(hidden_ND)
        if isinstance(soft, Soft) and (listed_N := (soft.ids_NK >= 0).any(1)).any():
            nats = functional.cross_entropy(z_NV, label_N, reduction="sum").item()
            given = soft.ids_NK[listed_N], soft.logp_NK[listed_N], label_N[listed_N]
            kl = bucket(z_NV[listed_N], *given).mean().item()
            found.append({"ce_byte": nats / len(row.answer.encode()), "kl_listed": kl})
    return found


@torch.inference_mode()
def measured_by_token(base: Base, max_length: int) -> list[dict[str, float]]:
    """Each held-out row's measures, where both have the same tokens."""
    examples = held_out(base, max_length)
    teacher = teacher_states(examples)
    found = []
    for (hidden_ND, label_N), hidden_of_teacher in zip(states(base, examples), teacher["states"], strict=True):
        log_q = output_head(base.model)(hidden_ND).log_softmax(1)
        log_p = (hidden_of_teacher @ teacher["head"].T).log_softmax(1)
        found.append(
            {
                "ce": -log_q.gather(1, label_N[:, None]).mean().item(),
                "agreement": (log_q.argmax(1) == log_p.argmax(1)).double().mean().item(),
                "kl": (log_p.exp() * (log_p - log_q)).sum(1).mean().item(),
            }
        )
    return found


def trained(folder: Path, config: RunConfig) -> Base:
    """A run's student."""
    if config.method == "full":
        return load_base(str(folder / WEIGHTS), torch.float32)
    base = load_base(config.model, torch.float32)
    return replace(base, model=load_adapter(base.model, folder / ADAPTER))


def measured(base: Base, max_length: int) -> list[dict[str, float]]:
    """Each held-out row's measures."""
    return measured_by_byte(base) if SETTINGS["measured"] == "by byte" else measured_by_token(base, max_length)


def main() -> None:
    """Print one line."""
    config = RunConfig.model_validate(SETTINGS["config"])
    longest = config.batching.max_length or 0
    if SETTINGS["untrained"]:
        print(json.dumps({"rows": measured(load_base(SETTINGS["untrained"], torch.float32), longest)}))
        return
    with tempfile.TemporaryDirectory(dir=SETTINGS["scratch"]) as folder:
        began = time.monotonic()
        facts = train(SETTINGS["dataset"], folder, config)
        minutes = (time.monotonic() - began) / 60
        rows = measured(trained(Path(folder), config), longest)
    facts_kept = {"soft": facts.soft, "train_loss": facts.train_loss, "tokens": facts.tokens}
    print(json.dumps({"rows": rows, "minutes": minutes, **facts_kept}))


if __name__ == "__main__":
    main()
