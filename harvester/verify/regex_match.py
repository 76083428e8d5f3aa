"""regex: a pattern is found in the answer, matches all of it, or is absent from it.

The engine is the `regex` package's, which knows all that Python's own does and can be told when to stop: a pattern that
takes longer than TIMEOUT_S on an answer fails it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harvester.records import Json
from harvester.verify.base import BadSettings, Failed, Judge, quote
from harvester.verify.settings import Setting, SettingsKind

TIMEOUT_S = 1.0
LONGEST_PATTERN = 2_000

SETTINGS = {
    "pattern": Setting(str, missing="write the regular expression"),
    "full": Setting(bool, default=False),
    "absent": Setting(bool, default=False),
}


def _finish(settings: dict[str, Any], folder: Path, where: str) -> dict[str, Any]:  # noqa: ARG001 - see `Finish`
    if len(settings["pattern"]) > LONGEST_PATTERN:
        raise BadSettings(".pattern", f"longer than {LONGEST_PATTERN:,} characters; use several patterns")
    _compiled(settings["pattern"])
    return settings


def _compiled(pattern: str) -> Any:
    import regex  # noqa: PLC0415 - only recipes with a pattern should pay for it

    try:
        return regex.compile(pattern, regex.VERSION0)
    except (regex.error, ValueError, OverflowError, RecursionError) as error:
        raise BadSettings(".pattern", f"not a regular expression: {error}") from None


def _judge(settings: Mapping[str, Any]) -> Judge:
    pattern = _compiled(settings["pattern"])
    seek = pattern.fullmatch if settings["full"] else pattern.search

    def judge(answer: str, seed: Mapping[str, Json]) -> None:  # noqa: ARG001 - the common form of a verifier
        try:
            match = seek(answer.strip() if settings["full"] else answer, timeout=TIMEOUT_S)
        except TimeoutError:
            raise Failed(f"the pattern takes more than {TIMEOUT_S:.0f} s on this answer") from None
        except MemoryError:
            raise Failed("the pattern takes too much memory on this answer") from None
        if match and settings["absent"]:
            raise Failed(f"{quote(match.group())} must not be there")
        if not match and not settings["absent"]:
            raise Failed("the whole answer does not match" if settings["full"] else "nothing in the answer matches")

    return judge


REGEX = SettingsKind("regex", SETTINGS, "{pattern: …}", _judge, _finish)
