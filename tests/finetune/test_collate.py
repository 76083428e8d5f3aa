import torch

from finetune.collate import packed, padded
from finetune.rendering import IGNORED, Example

PAD = 2
SHORT, LONG = Example((5, PAD), (IGNORED, PAD)), Example((5, 6, PAD), (IGNORED, 6, PAD))


def test_padding_is_told_by_position_not_by_id() -> None:
    batch = padded([SHORT, LONG], PAD)
    assert batch.attention_mask_BT is not None
    assert batch.attention_mask_BT.tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch.labels_BT.tolist() == [[IGNORED, PAD, IGNORED], [IGNORED, 6, PAD]]
    assert batch.input_ids_BT.dtype == torch.long


def test_a_packed_pass_lays_rows_end_to_end_and_counts_positions_anew() -> None:
    batch = packed([SHORT, LONG])
    assert batch.input_ids_BT.tolist() == [[5, PAD, 5, 6, PAD]]
    assert batch.position_ids_BT.tolist() == [[0, 1, 0, 1, 2]]
    assert batch.segments == (2, 3)
    assert batch.attention_mask_BT is None


def test_the_end_of_one_row_never_predicts_the_start_of_the_next() -> None:
    all_learnt = Example((7, 8), (7, 8))
    assert packed([all_learnt, all_learnt]).labels_BT.tolist() == [[IGNORED, 8, IGNORED, 8]]
