r"""truncated: the answer was cut off, by signs that nothing but a cut leaves behind.

- Its reply says so: `finish_reason` length, or another provider's word for it.
- A code fence that holds something stays open. Fences inside fences, as in Markdown about Markdown, come in pairs;
  only an odd number of them counts.
- The answer begins with { or [ and is JSON up to its last character, where more must follow.
- <think> at its beginning, \boxed{ or a LaTeX environment is never closed.
- Only where the reply gave no reason for its end: several sentences, and the last character is one that no text ends
  with, such as a comma or an opened bracket. Whether a last word is whole cannot be told, so a text that just stops
  passes.
"""

import json
import re
from collections.abc import Callable

from harvester.curating.base import Drop, Example

CUT = frozenset({"length", "max_tokens", "max_output_tokens", "model_length"})
"""Finish reasons, in small letters: OpenAI's protocol, Anthropic and Gemini, Responses, Mistral."""
LEAST_SENTENCES = 3
LEAST_UNDERLINE = 4
"""Tildes; three begin a code fence."""

_FENCE = re.compile(r"^[ \t>]*(`{3,}|~{3,})([^\n]*)$", re.MULTILINE)
_INLINE_CODE = re.compile(r"`[^`\n]+`")
_PARTIAL = re.compile(r"(?:tr?u?|fa?l?s?|nu?l?|-|\.|[eE][+-]?|\\?u[0-9a-fA-F]{0,4})?")
_THINKING = re.compile(r"<(think|thinking|thought|reasoning)>")
_BOX = re.compile(r"\\boxed\s*\{")
_BEGIN = re.compile(r"(?:^|[$=(\[])[ \t]*\\begin\{([A-Za-z]+\*?)\}", re.MULTILINE)  # in a sentence it is talked about
_SENTENCE_END = re.compile(r"[.!?](?=\s)|[。！？।؟۔]")  # noqa: RUF001
_GOES_ON = tuple(",;([{„¿¡、，；（［｛「『《،؛")  # noqa: RUF001 - the marks of other scripts
_decode = json.JSONDecoder(strict=False).decode


class Truncated:
    """Drops answers that were cut off."""

    name = "truncated"

    def look(self, example: Example) -> Drop | None:
        """The first sign of a cut."""
        sign = _sign(example.answer.strip(), example.finish_reason)
        return Drop("truncated", {"sign": sign}) if sign else None


def _sign(text: str, finish_reason: str | None) -> str | None:
    if finish_reason is not None and finish_reason.lower() in CUT:
        return "finish_reason " + finish_reason.lower()
    for sign, is_there in _SIGNS.items():
        if is_there(text):
            return sign
    if not finish_reason and text.endswith(_GOES_ON) and _is_prose(text):
        return "ends with " + text[-1]
    return None


def _open_fence(text: str) -> bool:
    fences = list(_FENCE.finditer(text)) if "```" in text or "~~~" in text else []
    opened, counted = None, 0
    for fence in fences:
        marks, after = fence.groups()
        if opened is None:
            if _is_underline(text, fence):
                continue
            opened = fence
        elif marks[0] == opened[1][0] and len(marks) >= len(opened[1]) and not after.strip():
            opened = None
        counted += 1
    return opened is not None and counted % 2 == 1 and bool(text[opened.end() :].strip())


def _is_underline(text: str, fence: re.Match[str]) -> bool:
    """Whether a line of tildes makes a heading of the line above, as in reStructuredText."""
    line, end = fence[0].rstrip(), fence.start() - 1
    title = text[text.rfind("\n", 0, max(0, end)) + 1 : max(0, end)].strip()
    return line == "~" * len(line) and len(line) >= LEAST_UNDERLINE and 0 < len(title) <= len(line)


def _open_json(text: str) -> bool:
    if not text.startswith(("{", "[")):
        return False
    try:
        _decode(text)
    except json.JSONDecodeError as error:
        if error.msg.startswith("Unterminated string"):
            return not text.endswith(("}", "]"))  # there a quotation mark was forgotten
        return _PARTIAL.fullmatch(text, error.pos) is not None
    except (ValueError, RecursionError):  # a number or a nesting beyond what Python reads
        pass
    return False


def _open_thinking(text: str) -> bool:
    opened = _THINKING.match(text)
    return opened is not None and f"</{opened[1]}>" not in text


def _open_box(text: str) -> bool:
    if "\\boxed" not in text:
        return False
    text = _INLINE_CODE.sub("", text)
    boxes = list(_BOX.finditer(text))
    return bool(boxes) and _never_closes(text, boxes[-1].end())


def _open_environment(text: str) -> bool:
    if "\\begin{" not in text:
        return False
    text = _INLINE_CODE.sub("", text)
    begins = list(_BEGIN.finditer(text))
    return bool(begins) and f"\\end{{{begins[-1][1]}}}" not in text[begins[-1].end() :]


def _never_closes(text: str, start: int) -> bool:
    """Whether the brace that opens before `start` is open at the end of the text."""
    depth = 1
    for brace in re.finditer(r"\\.|[{}]", text[start:], re.DOTALL):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return False
    return True


def _is_prose(text: str) -> bool:
    """Whether a text is several sentences on its last line's level: neither code nor a poem nor a list."""
    last = text.rsplit("\n", 1)[-1]
    return len(_SENTENCE_END.findall(last)) >= LEAST_SENTENCES


_SIGNS: dict[str, Callable[[str], bool]] = {
    "open code fence": _open_fence,
    "open JSON": _open_json,
    "open reasoning": _open_thinking,
    "open \\boxed": _open_box,
    "open LaTeX environment": _open_environment,
}
