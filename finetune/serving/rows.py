"""What the model thread is asked, and what it tells: frozen values, and one row per answer."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn; the filters in this order, as vLLM applies them."""

    temperature: float = 1.0  # 0 takes the likeliest
    min_p: float = 0.0  # leaves out what is less likely than this share of the likeliest
    top_k: int = 0  # leaves the k likeliest; 0 or -1 all
    top_p: float = 1.0  # leaves the fewest of the likeliest that have this share of what is left


@dataclass(frozen=True, slots=True)
class Scored:
    """A token at a position. Its log probability is natural, of the model at temperature 1, before any filter."""

    id: int
    logprob: float
    rank: int  # 1 is the likeliest; a token that is not listed stands behind all that are as likely, as in vLLM


@dataclass(frozen=True, slots=True)
class Token:
    """A generated token."""

    id: int
    logprob: float | None = None  # as `Scored`'s; None where it was not asked for
    top: tuple[Scored, ...] = ()  # the likeliest at its position, best first


@dataclass(frozen=True, slots=True)
class Piece:
    """What an answer goes on with: text, and the tokens that begin in it; each may be empty."""

    text: str
    tokens: tuple[Token, ...] = ()
    offsets: tuple[int, ...] = ()  # where in the answer's text each token begins, in characters


@dataclass(frozen=True, slots=True)
class PromptScores:
    """The prompt's tokens, scored: None for the first, which nothing predicts; then the likeliest and the token's own.

    The own one comes last where it is not among the likeliest.
    """

    positions: tuple[tuple[Scored, ...] | None, ...]


@dataclass(frozen=True, slots=True)
class End:
    """The last that is told of a row."""

    reason: str  # stop | length
    generated: int  # tokens, those that the text does not show included


@dataclass(frozen=True, slots=True)
class Failure:
    """The last that is told of a row that got no answer."""

    status: int
    message: str


Event = PromptScores | Piece | End | Failure


@dataclass(slots=True, eq=False)
class Row:
    """One prompt that awaits one answer."""

    prompt: tuple[int, ...]  # ids, exactly as the model is given them
    max_tokens: int
    tell: Callable[[Event], None]  # called in the model thread
    sampling: Sampling = Sampling()
    seed: str | None = None  # equal ones draw alike; None draws anew each time
    top: int | None = None  # so many likeliest tokens with each generated one; None: no log probabilities
    prompt_top: int | None = None  # the same of the prompt's tokens
    stops: tuple[str, ...] = ()  # texts that end the answer and do not stand in it
    stop_ids: frozenset[int] = field(default_factory=frozenset)  # tokens that end it
    dropped: bool = False  # nobody waits for it any more; set by any thread
    begun: bool = False  # something was told of it

    @property
    def most_tokens(self) -> int:
        """The length that it may grow to."""
        return len(self.prompt) + self.max_tokens
