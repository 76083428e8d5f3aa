"""What a loss asks of each position, as numbers that do not depend on the student.

With p = teacher at temperature 1, K its listed tokens, S = Σ_K p, R = 1 - S, and q = student, Q = Σ_K q, every loss is

    constant + b · log(1 - Q) - Σ c_j log q_j + Σ_listed w · logsumexp_K(log q / T)

and its gradient by the logits is a·q + b·(q outside K, to sum 1) - c + w/T·softmax_K(log q / T), a = Σ c - b - w/T,
since log q does not change when all logits move together. A mix of losses is the mix of their coefficients.
"""

# ruff: noqa: N802, N803, N806, N815 - shape suffixes

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

from finetune.listings import ABSENT


@dataclass(frozen=True, slots=True)
class Coefficients:
    """One loss at N positions. K is the number of entries; a row that lists fewer has its likeliest ones again."""

    ids_NM: Tensor  # M = K + 1: the listed tokens, and the label last
    c_NM: Tensor  # an entry that is there again has 0
    constant_N: Tensor
    b_N: Tensor | None = None  # None: 0 everywhere
    listed_NK: Tensor | None = None  # bool: the entries that count in logsumexp_K
    w_NT: Tensor | None = None  # the weight of logsumexp_K at each of `temperatures`
    temperatures: tuple[float, ...] = ()

    @property
    def outside_NK(self) -> Tensor:
        """The tokens that the tail leaves out: K."""
        return self.ids_NM[:, :-1]

    @property
    def a_N(self) -> Tensor:
        """The weight of q in the gradient."""
        a_N = self.c_NM.sum(1)
        if self.b_N is not None:
            a_N = a_N - self.b_N
        if self.w_NT is not None:
            a_N = a_N - (self.w_NT / self.w_NT.new_tensor(self.temperatures)).sum(1)
        return a_N

    def __getitem__(self, rows: slice | Tensor) -> Self:
        """The same of some positions."""
        return self._each(lambda tensor: tensor[rows])

    def to(self, dtype: torch.dtype) -> Self:
        """The same with numbers of this type."""
        return self._each(lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        changed: dict[str, Any] = {name: change(value) for name, value in held.items() if isinstance(value, Tensor)}
        return replace(self, **changed)


@dataclass(frozen=True, slots=True)
class Listed:
    """What the teacher listed, in float64: R is a small difference of large numbers."""

    ids_NK: Tensor  # in the place of absent entries one that is there, or 0
    there_NK: Tensor  # bool
    logp_NK: Tensor  # -inf where absent
    rest_N: Tensor  # R: 0 where rounding made S larger than 1, and where every token is listed

    @classmethod
    def of(cls, ids_NK: Tensor, logp_NK: Tensor, vocabulary: int) -> Self:
        """From what a loss is given."""
        there_NK = ids_NK != ABSENT
        logp_NK = logp_NK.double().masked_fill(~there_NK, -torch.inf)
        rest_N = (1 - logp_NK.exp().sum(1)).clamp(min=0)
        rest_N = torch.where(there_NK.sum(1) == vocabulary, 0.0, rest_N)
        # Any entry that is there may stand in for those that are not: what is done at K may be done twice.
        first_N1 = ids_NK.amax(1, keepdim=True).clamp(min=0) if ids_NK.shape[1] else ids_NK
        return cls(torch.where(there_NK, ids_NK, first_N1), there_NK, logp_NK, rest_N)

    @property
    def p_NK(self) -> Tensor:
        """Probabilities, 0 where absent."""
        return self.logp_NK.exp()

    @property
    def any_N(self) -> Tensor:
        """Whether anything is listed."""
        return self.there_NK.any(1)


def of_hard(ids_NK: Tensor, logp_NK: Tensor, label_N: Tensor, vocabulary: int) -> Coefficients:
    """-log q(label)."""
    listed = Listed.of(ids_NK, logp_NK, vocabulary)
    ones_N = torch.ones_like(listed.rest_N)
    return _coefficients(listed, label_N, _with(torch.zeros_like(listed.logp_NK), ones_N), torch.zeros_like(ones_N))


def of_topk_renormalised(ids_NK: Tensor, logp_NK: Tensor, label_N: Tensor, vocabulary: int) -> Coefficients:
    """Loss A, Σ_K p/S log((p/S)/q)."""
    listed = Listed.of(ids_NK, logp_NK, vocabulary)
    share_NK = _shares(listed.logp_NK)
    return _coefficients(listed, label_N, _with(share_NK, 0.0), -_entropy(share_NK))


def of_bucket(ids_NK: Tensor, logp_NK: Tensor, label_N: Tensor, vocabulary: int) -> Coefficients:
    """Loss C, Σ_K p log(p/q) + R log(R/(1-Q))."""
    return of_bucket_sampled(ids_NK, logp_NK, label_N, vocabulary, tail_weight=0.0)


def of_bucket_sampled(
    ids_NK: Tensor,
    logp_NK: Tensor,
    label_N: Tensor,
    vocabulary: int,
    *,
    tail_weight: float = 1.0,
    sampled_N: Tensor | None = None,
) -> Coefficients:
    """Loss D, C + w·1[y not in K]·(log(1-Q) - log q(y)); where `sampled_N` is False, C."""
    listed = Listed.of(ids_NK, logp_NK, vocabulary)
    in_list_N = (listed.there_NK & (ids_NK == label_N[:, None])).any(1)
    w_N = torch.where(in_list_N, 0.0, tail_weight).to(listed.rest_N)
    if sampled_N is not None:
        w_N = torch.where(sampled_N, w_N, 0.0)
    constant_N = -_entropy(listed.p_NK) + torch.xlogy(listed.rest_N, listed.rest_N)
    return _coefficients(listed, label_N, _with(listed.p_NK, w_N), constant_N, b_N=w_N - listed.rest_N)


def of_tempered(
    ids_NK: Tensor, logp_NK: Tensor, label_N: Tensor, vocabulary: int, *, temperature: float
) -> Coefficients:
    """T²·KL(softmax_K(log p / T) ‖ softmax_K(z / T)) + KL(S ‖ Q) of two outcomes, listed or not."""
    listed = Listed.of(ids_NK, logp_NK, vocabulary)
    share_NK, rest_N, square = _shares(listed.logp_NK / temperature), listed.rest_N, temperature**2
    some_N = listed.any_N.to(rest_N)
    kept_N = listed.p_NK.sum(1)
    constant_N = -square * _entropy(share_NK) + torch.xlogy(kept_N, kept_N) + torch.xlogy(rest_N, rest_N)
    found = _coefficients(listed, label_N, _with(temperature * share_NK, 0.0), constant_N, b_N=-rest_N)
    weights_NT = torch.stack([-kept_N, square * some_N], 1)
    return replace(found, listed_NK=listed.there_NK, w_NT=weights_NT, temperatures=(1.0, temperature))


def mixed(share: float | Tensor, hard: Coefficients, soft: Coefficients) -> Coefficients:
    """share·hard + (1 - share)·soft, of the same positions and lists; `share` is one number or share_N."""
    rest, shares = 1 - share, share[:, None] if isinstance(share, Tensor) else share
    rests = 1 - shares
    return replace(
        soft,
        c_NM=shares * hard.c_NM + rests * soft.c_NM,
        constant_N=share * hard.constant_N + rest * soft.constant_N,
        b_N=None if soft.b_N is None else rest * soft.b_N,
        w_NT=None if soft.w_NT is None else rests * soft.w_NT,
    )


def _coefficients(
    listed: Listed, label_N: Tensor, c_NM: Tensor, constant_N: Tensor, b_N: Tensor | None = None
) -> Coefficients:
    if b_N is not None:
        # Where nothing is listed the tail is everything and log(1 - Q) is 0: there is nothing to leave out.
        b_N = torch.where(listed.any_N, b_N, 0.0)
    ids_NM = torch.cat([listed.ids_NK, label_N[:, None].to(listed.ids_NK)], 1).long()
    return Coefficients(ids_NM, c_NM, constant_N, b_N, listed.there_NK)


def _with(c_NK: Tensor, label_c: Tensor | float) -> Tensor:
    """c_NM: the label's beside those of the listed tokens."""
    column_N1 = c_NK.new_zeros(len(c_NK), 1)
    return torch.cat([c_NK, column_N1 + (label_c[:, None] if isinstance(label_c, Tensor) else label_c)], 1)


def _shares(logp_NK: Tensor) -> Tensor:
    """The listed probabilities, made to sum to 1; 0 where nothing is listed."""
    return logp_NK.softmax(1).nan_to_num(0.0) if logp_NK.shape[1] else logp_NK


def _entropy(p_NK: Tensor) -> Tensor:
    return -torch.xlogy(p_NK, p_NK).sum(1)
