"""A request's body → what is asked, or the field at fault. Nothing that would change the answer is ignored."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from finetune.serving.refusals import Refused
from finetune.serving.rows import Sampling
from harvester.records import Json, half_pair

MOST_LOGPROBS = 20
MOST_ROWS = 128
"""Answers in one request."""
MOST_STOPS, LONGEST_STOP = 16, 256

IGNORED = frozenset(
    {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "parallel_tool_calls"}
)
"""Fields that change no answer here."""
NEUTRAL: Mapping[str, tuple[Json, ...]] = {
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "logit_bias": ({},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "repetition_penalty": (1,),
    "echo": (False,),
    "suffix": ("",),
    "best_of": (1,),
    "min_tokens": (0,),
    "ignore_eos": (False,),
    "skip_special_tokens": (True,),
}
"""Fields that are not implemented, and the values that ask for nothing; null asks for nothing anywhere."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _listed_stops(value: Json) -> Json:
    return [value] if isinstance(value, str) else value


def _listed_prompts(value: Json) -> Json:
    """One prompt or several → a list of texts or of lists of ids."""
    if isinstance(value, str) or (isinstance(value, list) and value and all(_is_id(one) for one in value)):
        return [value]
    if not isinstance(value, list) or not value:
        raise ValueError("must be a text, a list of texts, token ids, or a list of lists of token ids")
    if all(isinstance(one, str) for one in value):
        return value
    if all(isinstance(one, list) and all(_is_id(token) for token in one) for one in value):
        return value
    raise ValueError("must be texts only, or lists of token ids only")


def _is_id(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _one_text(value: Json) -> Json:
    """A message's content: a text, or parts that are texts."""
    if not isinstance(value, list):
        return value
    if not all(isinstance(part, dict) and part.get("type") == "text" for part in value):
        raise ValueError("only text parts are read here")
    texts = [part.get("text") for part in value]
    return "".join(texts) if all(isinstance(text, str) for text in texts) else None


Stop = Annotated[str, Field(min_length=1, max_length=LONGEST_STOP)]


class StreamOptions(_Body):
    """Of a streamed answer."""

    include_usage: bool = False


class Asked(_Body):
    """What both ways to ask have in common."""

    model: str
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] = 1.0
    top_p: Annotated[float, Field(ge=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=-1)] = 0
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    seed: int | None = None
    stop: Annotated[list[Stop], Field(max_length=MOST_STOPS), BeforeValidator(_listed_stops)] = []
    n: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 1
    stream: bool = False
    stream_options: StreamOptions | None = None
    return_token_ids: bool = False

    @property
    def sampling(self) -> Sampling:
        """How tokens are drawn."""
        return Sampling(temperature=self.temperature, min_p=self.min_p, top_k=self.top_k, top_p=self.top_p)

    @property
    def with_usage(self) -> bool:
        """Whether a stream ends with the number of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage


class ChatMessage(_Body):
    """One turn."""

    role: Annotated[str, Field(min_length=1)]
    content: Annotated[str, BeforeValidator(_one_text)]
    reasoning_content: str | None = None  # of an earlier answer; what becomes of it is the template's to say

    def plain(self) -> dict[str, str]:
        """As templates take it."""
        return self.model_dump(exclude_none=True)


Messages = Annotated[list[ChatMessage], Field(min_length=1)]


class ChatAsked(Asked):
    """POST /v1/chat/completions."""

    messages: Messages
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_LOGPROBS)] | None = None

    @property
    def most_tokens(self) -> int | None:
        """Bound on each answer, by either of its names."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def top(self) -> int | None:
        """So many of the likeliest tokens with each; None: no log probabilities."""
        return (self.top_logprobs or 0) if self.logprobs else None


class CompletionAsked(Asked):
    """POST /v1/completions."""

    prompt: Annotated[list[str] | list[list[int]], BeforeValidator(_listed_prompts)]
    max_tokens: Annotated[int, Field(ge=0)] = 16
    logprobs: Annotated[int, Field(ge=0, le=MOST_LOGPROBS)] | None = None
    prompt_logprobs: Annotated[int, Field(ge=0, le=MOST_LOGPROBS)] | None = None
    add_special_tokens: bool = True  # those that the tokenizer puts around a text; never around ids


class TokenizeAsked(_Body):
    """POST /tokenize: a text or messages."""

    model: str | None = None
    prompt: str | None = None
    messages: Messages | None = None
    add_special_tokens: bool | None = None  # by default with a text, as a template writes its own
    add_generation_prompt: bool = True
    return_token_strs: bool = False


class DetokenizeAsked(_Body):
    """POST /detokenize."""

    model: str | None = None
    tokens: list[int]


Kind = TypeVar("Kind", bound=_Body)


def read(kind: type[Kind], raw: bytes) -> Kind:
    """What a body asks.

    Raises:
        Refused: it is no JSON object, or a field is wrong, missing or not supported.
    """
    body = _decode(raw)
    for field, harmless in NEUTRAL.items():
        if field in body and body.pop(field) not in harmless:
            raise Refused(f"{field} is not supported here; leave it out", param=field, code="unsupported_parameter")
    try:
        asked = kind.model_validate({field: value for field, value in body.items() if field not in IGNORED})
    except ValidationError as error:
        _refuse(error)
    _check_together(asked)
    return asked


def _decode(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Refused(f"the body is not JSON: {error}", code="invalid_json") from None
    if not isinstance(body, dict):
        raise Refused("the body is not a JSON object", code="invalid_json")
    if "\\u" in raw.decode("utf-8", "replace") and half_pair(json.dumps(body, ensure_ascii=False)):
        raise Refused("a text holds half of a surrogate pair, which is no text", code="invalid_json")
    return {field: value for field, value in body.items() if value is not None}


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _refuse(error: ValidationError) -> NoReturn:
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"])) or None
    if first["type"] == "extra_forbidden":
        raise Refused(f"{field}: unknown field; leave it out", param=field, code="unknown_parameter") from None
    message = first["msg"].removeprefix("Value error, ")
    raise Refused(f"{field}: {message}", param=field, code="invalid_value") from None


def _check_together(asked: _Body) -> None:
    """Fields that must agree.

    Raises:
        Refused: two of them do not.
    """
    if isinstance(asked, Asked) and asked.stream_options is not None and not asked.stream:
        raise Refused("stream_options: only with stream: true", param="stream_options", code="invalid_value")
    if isinstance(asked, ChatAsked) and asked.top_logprobs is not None and not asked.logprobs:
        raise Refused("top_logprobs: only with logprobs: true", param="top_logprobs", code="invalid_value")
    if isinstance(asked, CompletionAsked):
        if asked.stream and asked.prompt_logprobs is not None:
            raise Refused("prompt_logprobs: not in a stream", param="prompt_logprobs", code="invalid_value")
        if len(asked.prompt) * asked.n > MOST_ROWS:
            raise Refused(f"prompt: at most {MOST_ROWS} answers in one request", param="prompt", code="invalid_value")
    if isinstance(asked, TokenizeAsked) and (asked.prompt is None) == (asked.messages is None):
        raise Refused("give either prompt or messages", param="prompt", code="invalid_value")
