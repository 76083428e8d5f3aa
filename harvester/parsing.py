"""A raw reply's bytes → answer, reasoning, usage. Pure: a changed parser re-reads the store and asks nobody."""

import re
from typing import Any

from harvester.records import Answer, Json, Usage, decoded, printable
from harvester.streaming import assemble

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
MAX_TOKENS = 2**31 - 1  # what a column of the dataset holds
MOST_NAME = 200  # characters of a model's name
_FENCE = re.compile(r"\s*```[A-Za-z]*\n(.*?)\n?```\s*", re.DOTALL)
_LATEST = re.compile(r"[-:@]latest$")
_VERSION = re.compile(r"([-:@]v?\d[\d.-]*)*")  # gpt-4o → gpt-4o-2024-08-06, but not gpt-4o-mini


def decode(raw: bytes) -> Json:
    """A reply's JSON; a stream of server-sent events comes out as the completion it spells, or as its `{"error": …}`.

    Raises:
        ValueError: neither, or only a part of it.
    """
    try:
        try:
            return decoded(raw)
        except ValueError:
            return assemble(raw)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parse(raw: bytes) -> Answer:
    """Read a chat completion; whatever the bytes are, the result is an `Answer` whose status says what they were."""
    try:
        return parse_decoded(decode(raw))
    except ValueError:
        return Answer("unreadable")


def parse_decoded(reply: Json) -> Answer:
    """Read what `decode` returned, as `parse` does."""
    try:
        choice = dict(reply["choices"][0])
        message = dict(choice["message"])
    except (ValueError, LookupError, TypeError):
        return Answer("unreadable")
    text, reasoning = _split_reasoning(message)
    finish_reason = _text(choice.get("finish_reason"))
    return Answer(
        status=_status(finish_reason, text, message),
        text=text,
        reasoning=reasoning,
        finish_reason=finish_reason,
        model=_text(reply.get("model")),
        usage=read_usage(reply),
        logprobs=_logprobs(choice.get("logprobs")),
    )


def _logprobs(said: Json) -> Json:
    """The API's list of tokens; the lists of the older form (Together) are put into one."""
    if not isinstance(said, dict):
        return None
    tokens, logprobs = said.get("tokens"), said.get("token_logprobs")
    if said.get("content") is not None or not isinstance(tokens, list) or not isinstance(logprobs, list):
        return said.get("content")
    tops = said.get("top_logprobs")
    tops = tops if isinstance(tops, list) else [None] * len(tokens)
    return [
        {"token": token, "logprob": logprob, "top_logprobs": _listed(top)}
        for token, logprob, top in zip(tokens, logprobs, tops, strict=False)
    ]


def _listed(top: Json) -> list[Json]:
    items = top.items() if isinstance(top, dict) else ()
    return [{"token": token, "logprob": logprob} for token, logprob in items]


def bare(text: str) -> str:
    """A text without the ``` fence around the whole of it."""
    fenced = _FENCE.fullmatch(text)
    return fenced.group(1).strip() if fenced else text


def _text(value: Json) -> str | None:
    """A string that UTF-8 can carry (JSON can spell half of a surrogate pair, files cannot), else None."""
    if not isinstance(value, str):
        return None
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _split_reasoning(message: dict[str, Any]) -> tuple[str, str | None]:
    """Reasoning comes in a field of its own (two names are in use) or inside <think> at the start of the text."""
    text = (_text(message.get("content")) or "").strip()
    reasoning = _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
    if not reasoning and text.startswith(THINK_OPEN) and THINK_CLOSE in text:
        reasoning, text = text.removeprefix(THINK_OPEN).split(THINK_CLOSE, 1)
    return text.strip(), reasoning.strip() if reasoning else None


def _status(finish_reason: str | None, text: str, message: dict[str, Any]) -> str:
    if finish_reason in ("length", "content_filter"):
        return finish_reason
    if message.get("refusal"):
        return "refusal"
    return "ok" if text else "empty"


def read_usage(reply: Json) -> Usage:
    """Token counts of a decoded reply; cached input tokens under either of the two names in use."""
    usage = reply.get("usage") if isinstance(reply, dict) else None
    if not isinstance(usage, dict):
        return Usage()
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else usage.get("prompt_cache_hit_tokens")
    input_tokens, output_tokens = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    total = _count(usage.get("total_tokens"))
    if input_tokens is not None and output_tokens is not None and total is not None:
        output_tokens = max(output_tokens, total - input_tokens)  # some count reasoning in the total alone
    return Usage(input_tokens, output_tokens, min(_count(cached) or 0, input_tokens or 0))


def other_model(reply: Json, asked: str) -> str | None:
    """The model that a decoded reply names, where it is not the one asked; a dated version of a name is the same."""
    said = printable(_text(reply.get("model")) or "")
    if not said or said == asked:
        return None
    name, wanted = (_LATEST.sub("", text.lower().rsplit("/", 1)[-1]) for text in (said, asked))
    same = name.startswith(wanted) and _VERSION.fullmatch(name[len(wanted) :])
    return None if same else said[:MOST_NAME]


def _count(value: Json) -> int | None:
    return value if type(value) is int and 0 <= value <= MAX_TOKENS else None  # True is an int, too
