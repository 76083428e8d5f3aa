"""A chat completion, cut into the server-sent events of a stream."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def chunk(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
    """One chunk of a completion; `more` goes beside the delta."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, **more}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "toy-1", "choices": [choice]}


def event(data: Any) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


DONE = event(b"[DONE]")


def usage_chunk(usage: Any) -> dict[str, Any]:
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "toy-1", "choices": [], "usage": usage}


def stream(*texts: str, finish_reason: str = "stop") -> bytes:
    """A stream of these pieces of text, its end, its usage and its [DONE]."""
    chunks = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": text}) for text in texts)]
    return b"".join(map(event, [*chunks, chunk({}, finish_reason), usage_chunk(USAGE)])) + DONE


def units(text: str) -> list[str]:
    """A text in UTF-16 units: where JavaScript and JSON's escapes can cut it, in the middle of a character too."""
    encoded = text.encode("utf-16-le", "surrogatepass")
    return [chr(int.from_bytes(encoded[at : at + 2], "little")) for at in range(0, len(encoded), 2)]


def cut(items: Sequence[Any], sizes: Iterator[int]) -> Iterator[Sequence[Any]]:
    """The items in pieces of the sizes that are given, the rest in one."""
    at = 0
    while at < len(items):
        size = next(sizes, len(items))
        yield items[at : at + size]
        at += size
