"""What a majority vote counts: equal answers have equal keys."""

import json
import re
import unicodedata

from harvester.verify.answers import read_json
from harvester.verify.base import Failed
from harvester.verify.boxed import last_boxed

WAYS = ("text", "json", "boxed")
_TEXT = re.compile(r"^\\text\{([^{}]*)\}$")


def vote_key(text: str, by: str) -> str | None:
    r"""The form under which an answer is counted.

    Args:
        text: the answer.
        by: `text` counts the whole answer, its letters composed, white space folded, case ignored, and without a full
            stop at its end; `json` counts the value that the answer is, whatever its layout, the order of its keys
            and the way its numbers are written (1 and 1.0); `boxed` counts what stands in the last \boxed{…},
            without white space, $, \left and \right, a full stop at its end, and a \text{…} around all of it.

    Returns:
        None where the answer has no vote: it is empty, no JSON, or has no box.

    Raises:
        ValueError: `by` is none of WAYS.
    """
    if by == "text":
        return _plain(text) or None
    if by == "json":
        return _json(text)
    if by == "boxed":
        return _boxed(text)
    raise ValueError(f"by: must be one of {', '.join(WAYS)}, not {by!r}")


def _plain(text: str) -> str:
    words = " ".join(unicodedata.normalize("NFC", text).split())
    return _encodable(unicodedata.normalize("NFC", words.removesuffix(".").rstrip().casefold()))


def _json(text: str) -> str | None:
    try:
        return json.dumps(_numbers(read_json(text)), sort_keys=True, separators=(",", ":"))
    except (Failed, RecursionError):
        return None


def _numbers(value: object) -> object:
    if isinstance(value, dict):
        return {name: _numbers(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_numbers(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _boxed(text: str) -> str | None:
    inner = last_boxed(text)
    if inner is None:
        return None
    form = "".join(unicodedata.normalize("NFC", inner).split()).replace("$", "")
    for size in ("\\left", "\\right", "\\!", "\\,"):
        form = form.replace(size, "")
    form = _TEXT.sub(r"\1", form).removesuffix(".")
    return _encodable(form) or None


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
