"""Rows that are exported for DistillKit teach what `finetune` learns from the same rows.

The reader here is this project's own, by what DistillKit's sources do (commit b8ed189: distillkit/main.py, trainer.py,
lossfuncs/): every column becomes a tensor, places whose label is none are left out, nothing is shifted, and the
divergence is that of the places' distributions from the logits of the same places.
"""

# ruff: noqa: N803, N806 - shape suffixes

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from torch import Tensor
from toys import make_row, make_told_row, told_of, write_dataset

from finetune.config import Loss
from finetune.data import open_dataset
from finetune.errors import BadInput
from finetune.objective import Objective
from finetune.rendering import Renderer
from finetune.soft_labels import teach
from finetune.student import Base
from harvester.exporting.formats import convert, named

Divergence = Callable[[Tensor, Tensor], Tensor]
"""(listed logarithms of the teacher, of the student), each …K → one number a place."""
ROWS = [
    make_told_row(1, prompt="q", answer="7"),
    make_told_row(2, answer="a longer answer 12"),
    make_told_row(3, prompt="another question", answer="jih\n\n"),  # two newlines are one token of the student
    make_told_row(4, answer="no end", logprobs=told_of("no end", seed=4, end=None)),
    make_row(5),  # no logprobs
]
LEARNT = [0, 1, 3]


def zero(p_K: Tensor, q_K: Tensor) -> Tensor:
    """Missing tokens have nothing: what is listed is made to sum to 1."""
    p_K = p_K - p_K.logsumexp(-1, keepdim=True)
    return (p_K.exp() * (p_K - q_K)).sum(-1)


def symmetric_uniform(p_K: Tensor, q_K: Tensor) -> Tensor:
    """Missing tokens are one more outcome, with a millionth at least."""
    rest_p, rest_q = (torch.log1p(-one.exp().sum(-1).clamp(max=1 - 1e-6)) for one in (p_K, q_K))
    return (p_K.exp() * (p_K - q_K)).sum(-1) + rest_p.exp() * (rest_p - rest_q)


@pytest.fixture
def exported(tmp_path: Path, tiny_folder: Path) -> Path:
    """The rows in DistillKit's layout."""
    folder = write_dataset(tmp_path / "dataset", {"train": ROWS})
    form = named("distillkit", tiny_folder)
    assert form is not None
    done = convert(folder, form, "toy")
    assert dict(done.left_out) == {("train", "other_tokens"): 1, ("train", "no_logprobs"): 1}
    return folder


def batch_of(folder: Path) -> dict[str, Tensor]:
    rows = datasets.load_from_disk(str(folder))["train"]
    return {name: torch.tensor([row[name] for row in rows]) for name in rows.column_names}


def logits_of(base: Base, batch: dict[str, Tensor], **more: Any) -> Any:
    return base.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], **more)


@pytest.mark.parametrize(("kind", "divergence"), [("topk", zero), ("bucket", symmetric_uniform)])
def test_the_loss_is_that_of_finetune(
    exported: Path, base: Base, renderer: Renderer, tmp_path: Path, kind: Any, divergence: Divergence
) -> None:
    batch = batch_of(exported)
    q_BTV = logits_of(base, batch).logits.log_softmax(-1)
    loss_BT = divergence(batch["top_values"], q_BTV.gather(-1, batch["token_ids"]))
    found = loss_BT[batch["labels"] >= 0].sum()

    loss = Loss(kind=kind)
    data = open_dataset(write_dataset(tmp_path / "own", {"train": [ROWS[place] for place in LEARNT]}))
    taught = teach(renderer.rows(data.split("train"), 500), base, loss, data.notes)
    assert (batch["labels"] >= 0).sum(1).tolist() == [example.supervised for example in taught.examples]
    expected = Objective(base.model, base, loss=loss).loss(taught.examples)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert torch.isfinite(loss_BT).all()  # a place that does not count is multiplied by nothing, which mends no number


def test_its_cross_entropy_learns_the_answer_and_one_token_before(exported: Path, base: Base) -> None:
    """The model's own loss shifts the labels: the answer's end has its distribution only."""
    batch = batch_of(exported)
    out = logits_of(base, batch, labels=batch["labels"])
    learnt = [base.tokenizer.decode(row[row >= 0].tolist()) for row in batch["labels"][:, 1:]]
    assert learnt == ["\n7", "\na longer answer 12", "\nno end"]
    logp_BT = out.logits.log_softmax(-1)[:, :-1].gather(-1, batch["input_ids"][:, 1:, None])[..., 0]
    assert out.loss.item() == pytest.approx(-logp_BT[batch["labels"][:, 1:] >= 0].mean().item(), rel=1e-5)


def test_what_fills_rows_up_changes_no_loss(exported: Path, base: Base) -> None:
    batch = batch_of(exported)
    length = int(batch["attention_mask"][0].sum())
    assert length < batch["input_ids"].shape[1]
    alone = {name: column[:1, :length] for name, column in batch.items()}
    together, apart = (logits_of(base, one).logits[0, :length] for one in (batch, alone))
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-4)
    assert (batch["labels"][0, length:] < 0).all()


def test_finetune_itself_refuses_the_layout(exported: Path) -> None:
    with pytest.raises(BadInput, match=r"no data/\*\.parquet in it"):
        open_dataset(exported)
