"""Tokens and their log probabilities as the three APIs write them."""

from collections.abc import Sequence

from finetune.serving.calls import Answered
from finetune.serving.rows import PromptScores, Scored, Token
from finetune.serving.tokens import Spell, readable
from harvester.records import Json

LEAST = -9999.0
"""For a probability of nothing: JSON has no infinity."""


def finite(logprob: float | None) -> float:
    """A log probability that JSON can write."""
    return LEAST if logprob is None else max(logprob, LEAST)


def usage(prompt_tokens: int, answered: Sequence[Answered]) -> Json:
    """What a request took; the prompt of several answers counts once."""
    generated = sum(one.end.generated for one in answered)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": generated,
        "total_tokens": prompt_tokens + generated,
    }


def chat_logprobs(tokens: Sequence[Token], spell: Spell) -> Json:
    """As chat completions have them: each token's text, bytes and log probability, and the likeliest ones'.

    The token's own stands beside the list, which holds it only where it is one of them.
    """

    def entry(token: int, logprob: float | None) -> dict[str, Json]:
        spelt = spell(token)
        return {"token": readable(spelt), "bytes": list(spelt), "logprob": finite(logprob)}

    content = [
        entry(token.id, token.logprob) | {"top_logprobs": [entry(one.id, one.logprob) for one in token.top]}
        for token in tokens
    ]
    return {"content": content, "refusal": None}


def legacy_logprobs(tokens: Sequence[Token], offsets: Sequence[int], spell: Spell) -> Json:
    """As completions have them: four lists. A token that is not among its likeliest ones is listed behind them."""
    return {
        "tokens": [readable(spell(token.id)) for token in tokens],
        "token_logprobs": [finite(token.logprob) for token in tokens],
        "top_logprobs": [_listed(token, spell) for token in tokens],
        "text_offset": list(offsets),
    }


def _listed(token: Token, spell: Spell) -> dict[str, Json]:
    """Text → log probability; of several tokens with the same text the likeliest."""
    ranked: list[tuple[int, float | None]] = [(one.id, one.logprob) for one in token.top]
    listed: dict[str, Json] = {}
    for one, logprob in (*ranked, (token.id, token.logprob)):
        listed.setdefault(readable(spell(one)), finite(logprob))
    return listed


def vllm_prompt_logprobs(scores: PromptScores, spell: Spell) -> Json:
    """As vLLM has them: null for the first token, then token id → log probability, rank and text."""

    def entry(one: Scored) -> Json:
        return {"logprob": finite(one.logprob), "rank": one.rank, "decoded_token": readable(spell(one.id))}

    return [None if found is None else {str(one.id): entry(one) for one in found} for found in scores.positions]
