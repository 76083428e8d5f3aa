"""A teacher that scores token ids: a server with vLLM's `prompt_logprobs` (vLLM itself, or `finetune serve`)."""

# ruff: noqa: N806 - shape suffixes

import sys
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from finetune.errors import BadInput
from finetune.listings import ABSENT
from finetune.rollout import Scores

ROWS_PER_REQUEST = 8
"""Each position of a reply takes some 70 bytes for every token that it lists."""
SERVERS = "use vLLM or `finetune serve`"
PROBES = (
    "مرحبا بالعالم، كيف الحال؟",
    "0 1 12 123 1234 12345 3.14159 1,000,000",
    "👩🏽‍🚀🇩🇪 ✓ 🤖",
    " one  two   three\n\n\tfour \r\n  ",
    'def f(x): return {"a": [x**2, -1]}  # café, naïve, 漢字',
)
"""Texts that tokenizers of different families cut differently."""
LEAST_SCORED = 2
"""Tokens: nothing predicts the first."""
LEAST_LOGPROB, ROUNDING = -9999.0, 1e-3
"""Of a logprob. Servers say the least for a probability of 0, JSON having no infinity; rounding brings some above 0."""


class Asks(Protocol):
    """Asks a server, as `teacher_client.Client` does."""

    url: str

    def ask(self, path: str, body: Any = None, *, mend: str) -> dict[str, Any]:
        """A reply's JSON object."""


class Teacher:
    """A server's model, and what it says of given tokens.

    Args:
        client: asks the server.
        model: None takes the only one that it has.

    Raises:
        BadInput: there is no such model, or none of one's own choice.
        TeacherUnusable: the server cannot be asked.
    """

    def __init__(self, client: Asks, model: str | None) -> None:
        self._client, self.url = client, client.url
        found = client.ask("/v1/models", mend="give the address of an OpenAI-compatible server").get("data")
        context_of = {str(one.get("id")): one.get("max_model_len") for one in _objects(found)}
        names = [*context_of]
        if model is None and len(names) != 1:
            raise BadInput(f"--teacher {self.url}: has {_named(names)}; name one by --teacher-model")
        if model is not None and model not in names:
            raise BadInput(f"--teacher-model {model}: {self.url} has {_named(names)}; name one of them")
        self.model: str = model or names[0]
        told = context_of[self.model]
        # A server that scores a prompt answers it too, by one token at least.
        self.longest = told - 1 if isinstance(told, int) else None  # tokens that it scores together; None: not told

    def require_scores(self, top: int) -> None:
        """See that it scores prompts and lists as many tokens: known before a student is loaded, by its own ids.

        Args:
            top: as of `score`.

        Raises:
            BadInput: it does not.
            TeacherUnusable: the server cannot be asked.
        """
        ids = self._tokens(PROBES[-1])
        if not isinstance(ids, list) or len(ids) < LEAST_SCORED:
            raise BadInput(f"--teacher {self.url}: /tokenize gives {_few(ids)} for {PROBES[-1]!r}; {SERVERS}")
        self.score([(ids[:LEAST_SCORED], 1)], top, sys.maxsize)

    def require_same_tokens(self, tokenizer: Any, texts: Sequence[str]) -> None:
        """See that the student's token ids mean to the teacher what they mean to the student.

        Args:
            tokenizer: the student's.
            texts: to be cut by both, beside `PROBES` and the student's special tokens.

        Raises:
            BadInput: it cuts one of them otherwise, or does not tell.
            TeacherUnusable: the server cannot be asked.
        """
        for text in (*PROBES, " ".join(tokenizer.all_special_tokens), *texts):
            mine, theirs = list(tokenizer(text, add_special_tokens=False)["input_ids"]), self._tokens(text)
            if theirs != mine:
                raise BadInput(
                    f"--teacher {self.url}: {self.model} has another tokenizer than the student ({text[:40]!r} is"
                    f" {_few(theirs)} there, {_few(mine)} here); take a student of its family, or learn from its"
                    " answers by another --loss"
                )

    def score(self, rows: Sequence[tuple[Sequence[int], int]], top: int, vocabulary: int) -> list[Scores]:
        """What the teacher says of the tokens of each row, from one on.

        Args:
            rows: token ids, and the place of the first one to be scored, which is not 0: nothing predicts that.
            top: how many of the likeliest are listed at each place; 0 for none.
            vocabulary: the student's number of tokens; what a teacher with more lists beyond it is left out.

        Raises:
            BadInput: the server does not tell.
            TeacherUnusable: it cannot be asked.
        """
        found = []
        for start in range(0, len(rows), ROWS_PER_REQUEST):
            some = rows[start : start + ROWS_PER_REQUEST]
            replied = self._replied([ids for ids, _ in some], top)
            found += [
                self._scores(told, ids, first, top, vocabulary)
                for told, (ids, first) in zip(replied, some, strict=True)
            ]
        return found

    def _tokens(self, text: str) -> Any:
        """The ids that it says a text has."""
        body = {"model": self.model, "prompt": text, "add_special_tokens": False}
        mend = f"without it tokenizers cannot be compared: {SERVERS}"
        return self._client.ask("/tokenize", body, mend=mend).get("tokens")

    def _replied(self, prompts: Sequence[Sequence[int]], top: int) -> list[Any]:
        """The `prompt_logprobs` of some prompts, in their order."""
        body = {
            "model": self.model,
            "prompt": [list(ids) for ids in prompts],
            "max_tokens": 1,
            "temperature": 0,
            "prompt_logprobs": max(top, 1),
        }
        mend = f"{SERVERS}, with no larger --top than it lists (vLLM: --max-logprobs)"
        choices = self._client.ask("/v1/completions", body, mend=mend).get("choices")
        by_place = {one.get("index"): one for one in _objects(choices)}
        if set(by_place) != set(range(len(prompts))):
            raise BadInput(f"--teacher {self.url}: {len(prompts)} prompts, and not as many choices; {SERVERS}")
        return [by_place[place].get("prompt_logprobs") for place in range(len(prompts))]

    def _scores(self, told: Any, ids: Sequence[int], first: int, top: int, vocabulary: int) -> Scores:
        if not isinstance(told, list) or len(told) != len(ids):
            raise BadInput(f"--teacher {self.url}: no prompt_logprobs of every token in its reply; {SERVERS}")
        logp_N = np.empty(len(ids) - first, np.float32)
        ids_NK = np.full((len(logp_N), top), ABSENT, np.int32)
        logp_NK = np.full((len(logp_N), top), -np.inf, np.float32)
        try:
            for place, token in enumerate(ids[first:]):
                entries = told[first + place]
                logp_N[place] = _logprob(entries[str(token)])
                listed = _likeliest(entries, top, vocabulary)
                ids_NK[place, : len(listed)] = [one for _, _, one in listed]
                logp_NK[place, : len(listed)] = [logprob for _, logprob, _ in listed]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BadInput(
                f"--teacher {self.url}: its prompt_logprobs lack a token that was asked for, or have an id or a logprob"
                f" that is none; {SERVERS}"
            ) from error
        return Scores(logp_N, ids_NK, logp_NK)


def _likeliest(entries: dict[str, Any], top: int, vocabulary: int) -> list[tuple[int, float, int]]:
    """Rank, logprob and id of those within the rank: the token itself is listed beyond it, and must not count."""
    ranked = sorted((entry["rank"], -_logprob(entry), _token(name)) for name, entry in entries.items())
    return [(rank, -least, token) for rank, least, token in ranked if rank <= top and token < vocabulary][:top]


def _token(name: str) -> int:
    """An id, if it is written as ids are: spelt in two ways it would be listed twice."""
    token = int(name)
    if token < 0 or str(token) != name:
        raise ValueError(f"an id of {name}")
    return token


def _logprob(entry: Any) -> float:
    value = float(entry["logprob"])
    if not LEAST_LOGPROB <= value <= ROUNDING:  # NaN is not between them
        raise ValueError(f"a logprob of {value}")
    return value


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) or "no model"


def _few(ids: Any) -> str:
    return f"{ids[:6]}{'…' if len(ids) > 6 else ''}" if isinstance(ids, list) else "untold"  # noqa: PLR2004 - as many
