# ruff: noqa: N806 - shape suffixes

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from finetune.drawing import drawn

MOST = math.nextafter(1, 0)


def test_tokens_have_their_shares_of_the_line() -> None:
    p_BV = torch.tensor([[0.5, 0.0, 0.25, 0.25], [0.0, 0.0, 3.0, 1.0]], dtype=torch.float64)
    for chances, expected in (
        ((0.0, 0.0), (0, 2)),
        ((0.49, 0.74), (0, 2)),
        ((0.5, 0.75), (2, 3)),
        ((0.75, 0.1), (3, 2)),
    ):
        assert tuple(drawn(p_BV, torch.tensor(chances, dtype=torch.float64)).tolist()) == expected


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=50).filter(lambda p: sum(p) > 1e-300),
    st.one_of(st.floats(0, MOST), st.just(MOST), st.just(0.0)),
)
def test_whatever_the_chance_a_token_that_can_be_is_drawn(p: list[float], chance: float) -> None:
    p_BV = torch.tensor([p], dtype=torch.float64)
    [token] = drawn(p_BV, torch.tensor([chance], dtype=torch.float64)).tolist()
    assert p[token] > 0


@pytest.mark.parametrize("p", [[1.0, 0.0], [0.5, 0.0, 0.0], [5e-324, 0.0]])
def test_a_chance_at_the_very_end_is_the_last_token_s_that_can_be(p: list[float]) -> None:
    assert drawn(torch.tensor([p], dtype=torch.float64), torch.tensor([MOST], dtype=torch.float64)).tolist() == [0]
