import itertools
from typing import Literal

import pytest

from finetune.schedule import factor


@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_up_to_one_then_down_and_never_zero(kind: Literal["cosine", "linear"]) -> None:
    factors = [factor(step, total=20, warmup=4, kind=kind) for step in range(20)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert all(before > after for before, after in itertools.pairwise(factors[4:]))
    assert min(factors) > 0


def test_halfway_values() -> None:
    assert factor(10, total=20, warmup=0, kind="linear") == 0.5
    assert factor(10, total=20, warmup=0, kind="cosine") == pytest.approx(0.5)
    assert factor(5, total=20, warmup=0, kind="cosine") == pytest.approx((1 + 2**-0.5) / 2)
