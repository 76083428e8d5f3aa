import torch
from hypothesis import given
from hypothesis import strategies as st

from finetune.collate import collate, epoch_steps
from finetune.rendering import IGNORED, Example


def test_padding_is_told_by_position_not_by_id() -> None:
    pad = 2
    batch = collate([Example((5, pad), (IGNORED, pad)), Example((5, 6, pad), (IGNORED, 6, pad))], pad)
    assert batch.attention_mask_BT.tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch.labels_BT.tolist() == [[IGNORED, pad, IGNORED], [IGNORED, 6, pad]]
    assert batch.input_ids_BT.dtype == torch.long


@given(st.lists(st.integers(1, 50), min_size=1, max_size=80), st.integers(1, 9), st.integers(0, 3))
def test_an_epoch_has_each_row_once(lengths: list[int], rows: int, epoch: int) -> None:
    steps = epoch_steps(lengths, rows, seed=1, epoch=epoch)
    assert sorted(row for step in steps for row in step) == list(range(len(lengths)))
    assert all(1 <= len(step) <= rows for step in steps)


def test_order_depends_on_seed_and_epoch_only() -> None:
    lengths = list(range(40))
    first = epoch_steps(lengths, 4, seed=0, epoch=0)
    assert first == epoch_steps(lengths, 4, seed=0, epoch=0)
    assert first != epoch_steps(lengths, 4, seed=0, epoch=1)
    assert first != epoch_steps(lengths, 4, seed=1, epoch=0)


def test_rows_of_like_length_share_a_step() -> None:
    lengths = [10, 100] * 32
    steps = epoch_steps(lengths, 4, seed=0, epoch=0)
    mixed = sum(len({lengths[row] for row in step}) > 1 for step in steps)
    assert mixed <= 2  # one where the short rows of a window end
