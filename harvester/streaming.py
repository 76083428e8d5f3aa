"""A stream of server-sent events → the one chat completion that it spells out.

What is stored is the stream as it came; this reads it. Part of an answer is never an answer: a stream without its end,
or with an error in it, does not come out as a shorter text.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from harvester.records import Json, half_pair

BROKEN_OFF = frozenset({"error", "insufficient_system_resource"})
"""Finish reasons that say the provider gave up in the middle: the text so far is no answer."""

_KEEP_ALIVES = re.compile(rb"(?:\xef\xbb\xbf)?(?:\s+|:[^\r\n]*[\r\n]+)*+")
_HEAD = ("id", "created", "model", "system_fingerprint", "service_tier")
_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")


def assemble(raw: bytes) -> Json:
    """The chat completion of a stream, or the JSON that follows keep-alive comments; `{"error": …}` if it holds one.

    Raises:
        ValueError: not a stream of chunks, or it ends before its finish_reason.
    """
    rest = _KEEP_ALIVES.sub(b"", raw, count=1)
    if rest.startswith((b"{", b"[")):
        return json.loads(rest)
    completion = _Completion()
    for data in _events(rest):
        try:
            chunk = json.loads(data)
        except ValueError:  # [DONE], or cut off in the middle
            break
        if not isinstance(chunk, dict):
            break
        if error := _error(chunk):
            return {"error": error}
        completion.add(chunk)
    return completion.whole()


def _events(raw: bytes) -> Iterator[bytes]:
    """The data of every event that has some; comments and other fields are skipped."""
    data: list[bytes] = []
    for line in raw.splitlines():
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line:
            if any(data):
                yield b"\n".join(data)
            data.clear()
    if any(data):
        yield b"\n".join(data)  # not closed by a blank line: whole, or no JSON


def _error(chunk: dict[str, Any]) -> Json:
    """The error in a chunk: beside the choices, in one of them (OpenRouter), or the chunk itself (vLLM)."""
    if chunk.get("error"):
        return chunk["error"]
    if chunk.get("object") == "error":
        return chunk
    return next((choice["error"] for choice in _dicts(chunk.get("choices")) if choice.get("error")), None)


class _Completion:
    """What the chunks so far add up to."""

    def __init__(self) -> None:
        self._head: dict[str, Json] = {}
        self._texts: dict[str, list[Json]] = {"content": []}
        self._calls: dict[int, dict[str, Any]] = {}
        self._logprobs: list[Json] | None = None
        self._finish_reason: str | None = None
        self._usage: Json = None

    def add(self, chunk: dict[str, Any]) -> None:
        self._head.update({name: chunk[name] for name in _HEAD if chunk.get(name)})
        self._usage = chunk.get("usage") or self._usage
        for choice in _dicts(chunk.get("choices")):
            if not choice.get("index"):
                self._add_choice(choice)

    def _add_choice(self, choice: dict[str, Any]) -> None:
        self._usage = choice.get("usage") or self._usage  # Moonshot puts it here
        if isinstance(reason := choice.get("finish_reason"), str):
            self._finish_reason = reason or self._finish_reason
        logprobs = choice.get("logprobs")
        if isinstance(logprobs, dict) and isinstance(logprobs.get("content"), list):
            self._logprobs = self._logprobs or []
            self._logprobs.extend(logprobs["content"])
        delta = choice.get("delta")
        if isinstance(delta, dict):
            self._add_delta(delta)

    def _add_delta(self, delta: dict[str, Any]) -> None:
        for name in _TEXTS:
            if (value := delta.get(name)) is not None:
                self._texts.setdefault(name, []).extend(value if isinstance(value, list) else (value,))
        for position, part in enumerate(_dicts(delta.get("tool_calls"))):
            index = part.get("index", position)
            self._add_call(index if isinstance(index, int) else position, part)

    def _add_call(self, index: int, part: dict[str, Any]) -> None:
        call = self._calls.setdefault(index, {"id": None, "type": "function", "name": None, "arguments": []})
        function = part.get("function")
        function = function if isinstance(function, dict) else {}
        call.update({name: part[name] for name in ("id", "type") if part.get(name)})
        call["name"] = function.get("name") or call["name"]
        call["arguments"].append(str(function.get("arguments") or ""))

    def whole(self) -> Json:
        """The completion.

        Raises:
            ValueError: it has not ended, or was broken off.
        """
        if self._finish_reason is None or self._finish_reason in BROKEN_OFF:
            raise ValueError(f"the stream ended with finish_reason {self._finish_reason}")
        message: dict[str, Json] = {"role": "assistant", **{name: _join(parts) for name, parts in self._texts.items()}}
        if self._calls:
            message["tool_calls"] = [_tool_call(call) for _, call in sorted(self._calls.items())]
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None if self._logprobs is None else {"content": self._logprobs},
            "finish_reason": self._finish_reason,
        }
        usage = {} if self._usage is None else {"usage": self._usage}
        return {**self._head, "object": "chat.completion", "choices": [choice], **usage}


def _dicts(value: Json) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _tool_call(parts: dict[str, Any]) -> Json:
    function = {"name": parts["name"], "arguments": _join(parts["arguments"])}
    return {"id": parts["id"], "type": parts["type"], "function": function}


def _join(parts: list[Json]) -> Json:
    """The text, None where there was none; parts that are no text (Mistral's content parts) stay a list."""
    if not parts:
        return None
    if not all(isinstance(part, str) for part in parts):
        return parts
    text = "".join(parts)
    if half_pair(text):  # a character in halves: the sender cut its text between two UTF-16 units
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return text
