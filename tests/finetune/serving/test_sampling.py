# ruff: noqa: N806 - shape suffixes

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from finetune.serving.rows import Sampling
from finetune.serving.sampling import choose, probabilities

P = [0.4, 0.3, 0.15, 0.1, 0.05]
LOGITS = torch.log(torch.tensor(P))


def kept(expected: list[float], sampling: Sampling) -> None:
    torch.testing.assert_close(probabilities(LOGITS, sampling), torch.tensor(expected).double(), rtol=1e-6, atol=1e-7)


def test_without_filters_it_is_softmax_at_the_temperature() -> None:
    kept(P, Sampling())
    torch.testing.assert_close(
        probabilities(LOGITS, Sampling(temperature=0.5)), torch.softmax(LOGITS.double() * 2, dim=-1)
    )


def test_top_k_keeps_the_likeliest() -> None:
    kept([4 / 7, 3 / 7, 0, 0, 0], Sampling(top_k=2))
    kept(P, Sampling(top_k=-1))
    kept(P, Sampling(top_k=99))


def test_top_p_keeps_the_fewest_that_reach_it() -> None:
    kept([4 / 7, 3 / 7, 0, 0, 0], Sampling(top_p=0.69))
    kept([40 / 85, 30 / 85, 15 / 85, 0, 0], Sampling(top_p=0.71))
    kept([1, 0, 0, 0, 0], Sampling(top_p=0.0))


def test_min_p_is_a_share_of_the_likeliest() -> None:
    kept([40 / 85, 30 / 85, 15 / 85, 0, 0], Sampling(min_p=0.3))
    kept([1, 0, 0, 0, 0], Sampling(min_p=1.0))


def test_top_p_counts_what_top_k_left() -> None:
    kept([1, 0, 0, 0, 0], Sampling(top_k=2, top_p=0.57))  # of 4/7 and 3/7


def test_of_equally_likely_tokens_as_many_are_kept_as_was_asked() -> None:
    assert probabilities(torch.zeros(5), Sampling(top_k=2)).tolist() == [0.5, 0.5, 0, 0, 0]


@given(
    st.lists(st.floats(-30, 30), min_size=1, max_size=8),
    st.builds(
        Sampling,
        temperature=st.floats(0.01, 2),
        min_p=st.floats(0, 1),
        top_k=st.integers(-1, 9),
        top_p=st.floats(0, 1),
    ),
    st.floats(0, 1, exclude_max=True),
)
def test_whatever_is_asked_the_token_is_one_that_is_kept(logits: list[float], sampling: Sampling, draw: float) -> None:
    logits_V = torch.tensor(logits)
    p_V = probabilities(logits_V, sampling)
    assert float(p_V.sum()) == pytest.approx(1)
    assert p_V[choose(logits_V[None], [sampling], [draw])[0]] > 0


def test_draws_take_tokens_by_their_shares_of_the_line() -> None:
    draws = [0.0, 0.399, 0.401, 0.699, 0.701, 0.849, 0.851, 0.949, 0.951, 1 - 2**-53]
    tokens = choose(LOGITS.expand(len(draws), -1), [Sampling()] * len(draws), draws)
    assert tokens == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=1.5, top_k=4), Sampling(top_p=0.8, min_p=0.1)])
def test_tokens_come_as_often_as_they_should(sampling: Sampling) -> None:
    """Pearson's chi-square below its 99.99 % quantile; the seed is fixed, so the outcome is."""
    count = 6_000
    source = random.Random(7)  # noqa: S311 - a test's
    found = torch.zeros(len(P))
    for token in choose(LOGITS.expand(count, -1), [sampling] * count, [source.random() for _ in range(count)]):
        found[token] += 1
    expected = probabilities(LOGITS, sampling).float() * count
    possible = expected > 0
    assert found[~possible].sum() == 0
    assert ((found - expected)[possible] ** 2 / expected[possible]).sum() < 23.5


def test_rows_have_parameters_of_their_own() -> None:
    samplings = [Sampling(temperature=0), Sampling(), Sampling(top_k=2), Sampling(top_p=0.1)]
    assert choose(LOGITS.expand(4, -1), samplings, [0.99] * 4) == [0, 4, 1, 0]


def test_tiny_temperatures_are_greedy() -> None:
    assert choose(LOGITS[None], [Sampling(temperature=1e-300)], [0.99]) == [0]
    assert choose(LOGITS[None], [Sampling(temperature=1e-4)], [0.99]) == [0]
