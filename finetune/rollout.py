"""What is known of an answer that the student sampled."""

# ruff: noqa: N815 - shape suffixes

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What the teacher says of an answer's N tokens, as natural logarithms at temperature 1."""

    logp_N: npt.NDArray[np.float32]  # of the tokens themselves
    ids_NK: npt.NDArray[np.int32]  # the likeliest there, best first; `alignment.ABSENT` where there are no more
    logp_NK: npt.NDArray[np.float32]  # -inf where absent


@dataclass(frozen=True, slots=True, eq=False)
class Rollout:
    """An answer that the student sampled, as the student saw it then and as the teacher sees it."""

    old_log_q_N: npt.NDArray[np.float32]
    scores: Scores
    ended: bool  # with a token that ends the turn
