"""Answers as the two APIs write them, whole and as chunks of a stream."""

import time
import uuid
from collections.abc import Sequence
from typing import Protocol

from finetune.serving.calls import Answered
from finetune.serving.naming import chat_logprobs, legacy_logprobs, usage, vllm_prompt_logprobs
from finetune.serving.requests import Asked, ChatAsked, CompletionAsked
from finetune.serving.rows import End, Event, Piece
from finetune.serving.served import Served
from finetune.serving.thoughts import Thoughts
from harvester.records import Json

Prompts = Sequence[Sequence[int]]


class Form(Protocol):
    """How one request is replied to."""

    def whole(self, answered: Sequence[Answered]) -> Json:
        """The reply at once."""

    def openings(self) -> list[Json]:
        """What a stream begins with."""

    def chunks(self, place: int, event: Event) -> list[Json]:
        """What a stream says of an event."""

    def totals(self, answered: Sequence[Answered]) -> Json:
        """What a stream ends with where usage was asked for."""


class _Head:
    """What every object of one reply begins with."""

    def __init__(self, served: Served, asked: Asked, prompts: Prompts, prefix: str) -> None:
        self._served, self._asked, self._prompts = served, asked, prompts
        self._id, self._created = f"{prefix}-{uuid.uuid4().hex}", int(time.time())

    def _object(self, kind: str, choices: list[Json]) -> dict[str, Json]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._served.name,
            "choices": choices,
        }

    def _chunk(self, kind: str, choice: Json) -> dict[str, Json]:
        return self._object(kind, [choice]) | ({"usage": None} if self._asked.with_usage else {})

    def _usage(self, answered: Sequence[Answered]) -> Json:
        return {"usage": usage(sum(map(len, self._prompts)), answered)}

    def _ids(self, tokens: Sequence[int]) -> dict[str, Json]:
        return {"token_ids": list(tokens)} if self._asked.return_token_ids else {}


class ChatForm(_Head):
    """Of /v1/chat/completions. What the model thought stands in `reasoning_content`."""

    def __init__(self, served: Served, asked: ChatAsked, prompts: Prompts) -> None:
        super().__init__(served, asked, prompts, "chatcmpl")
        self._with_logprobs = asked.logprobs
        self._thoughts = [Thoughts(opened=served.opens_thought) for _ in range(asked.n)]

    def whole(self, answered: Sequence[Answered]) -> Json:
        """The reply at once."""
        choices = [self._choice(place, one) for place, one in enumerate(answered)]
        return self._object("chat.completion", choices) | self._usage(answered) | self._prompt_ids()

    def openings(self) -> list[Json]:
        """Who speaks, for each choice."""
        first = [self._delta(place, {"role": "assistant", "content": ""}) for place in range(self._asked.n)]
        return [chunk | self._prompt_ids() for chunk in first]

    def chunks(self, place: int, event: Event) -> list[Json]:
        """What a stream says of an event."""
        if isinstance(event, Piece):
            thought, speech = self._thoughts[place].feed(event.text)
            more = self._ids([token.id for token in event.tokens])
            if self._with_logprobs:
                more["logprobs"] = chat_logprobs(event.tokens, self._served.spell)
            return [self._delta(place, _parts(thought, speech) or {"content": ""}, more)]
        if isinstance(event, End):
            rest = _parts(*self._thoughts[place].feed("", last=True))
            last = self._delta(place, {}, {"finish_reason": event.reason})
            return [self._delta(place, rest), last] if rest else [last]
        return []

    def totals(self, answered: Sequence[Answered]) -> Json:
        """A chunk without choices."""
        return self._object("chat.completion.chunk", []) | self._usage(answered)

    def _choice(self, place: int, one: Answered) -> Json:
        thought, speech = self._thoughts[place].feed(one.text, last=True)
        message = {"role": "assistant", "content": speech, "refusal": None}
        return {
            "index": place,
            "message": message | ({"reasoning_content": thought} if thought else {}),
            "logprobs": chat_logprobs(one.tokens, self._served.spell) if self._with_logprobs else None,
            "finish_reason": one.end.reason,
        } | self._ids([token.id for token in one.tokens])

    def _delta(self, place: int, delta: Json, more: dict[str, Json] | None = None) -> dict[str, Json]:
        choice = {"index": place, "delta": delta, "logprobs": None, "finish_reason": None} | (more or {})
        return self._chunk("chat.completion.chunk", choice)

    def _prompt_ids(self) -> dict[str, Json]:
        return {"prompt_token_ids": list(self._prompts[0])} if self._asked.return_token_ids else {}


def _parts(thought: str, speech: str) -> dict[str, str]:
    parts = {"reasoning_content": thought, "content": speech}
    return {name: text for name, text in parts.items() if text}


class CompletionForm(_Head):
    """Of /v1/completions. The answers of the first prompt come first."""

    def __init__(self, served: Served, asked: CompletionAsked, prompts: Prompts) -> None:
        super().__init__(served, asked, prompts, "cmpl")
        self._with_logprobs = asked.logprobs is not None

    def whole(self, answered: Sequence[Answered]) -> Json:
        """The reply at once."""
        choices = [self._choice(place, one) for place, one in enumerate(answered)]
        return self._object("text_completion", choices) | self._usage(answered)

    def openings(self) -> list[Json]:
        """The prompts, where they were asked for."""
        if not self._asked.return_token_ids:
            return []
        places = range(len(self._prompts) * self._asked.n)
        return [self._text(place, "", Piece(""), self._prompt_ids(place)) for place in places]

    def chunks(self, place: int, event: Event) -> list[Json]:
        """What a stream says of an event."""
        if isinstance(event, Piece):
            return [self._text(place, event.text, event)]
        if isinstance(event, End):
            return [self._text(place, "", Piece(""), {"finish_reason": event.reason})]
        return []

    def totals(self, answered: Sequence[Answered]) -> Json:
        """A chunk without choices."""
        return self._object("text_completion", []) | self._usage(answered)

    def _choice(self, place: int, one: Answered) -> Json:
        scores = one.scores
        return {
            "index": place,
            "text": one.text,
            "logprobs": self._logprobs(Piece(one.text, tuple(one.tokens), tuple(one.offsets))),
            "finish_reason": one.end.reason,
            "prompt_logprobs": None if scores is None else vllm_prompt_logprobs(scores, self._served.spell),
        } | (self._ids([token.id for token in one.tokens]) | self._prompt_ids(place))

    def _text(self, place: int, text: str, piece: Piece, more: dict[str, Json] | None = None) -> Json:
        choice = {"index": place, "text": text, "logprobs": self._logprobs(piece), "finish_reason": None}
        ids = self._ids([token.id for token in piece.tokens])
        return self._chunk("text_completion", choice | ids | (more or {}))

    def _logprobs(self, piece: Piece) -> Json:
        return legacy_logprobs(piece.tokens, piece.offsets, self._served.spell) if self._with_logprobs else None

    def _prompt_ids(self, place: int) -> dict[str, Json]:
        prompt = self._prompts[place // self._asked.n]
        return {"prompt_token_ids": list(prompt)} if self._asked.return_token_ids else {}
