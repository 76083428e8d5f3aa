"""What filters of single rows look for, and what only looks like it."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from planted import Row, filled  # isort: skip - helpers beside the tests
from prose import LANGUAGES, Prose  # isort: skip

REASONS = {
    "secrets": "curate:secret",
    "personal_data": "curate:personal_data",
    "refusals": "curate:refusal",
    "boilerplate": "curate:boilerplate",
    "repetition": "curate:repetition",
    "truncated": "curate:truncated",
    "language": "curate:language",
}
SENTENCES = {
    "en": "In the drawer lies {} and nobody asks for it.",
    "ar": "في الدرج {} ولا يسأل عنه أحد.",
    "zh": "抽屉里有{}没有人问起这件事情也没有人知道他们为什么不来问一问。",
}
MOST_TOKENS, LEAST_TOKENS = 900, 2


@cache
def texts() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "planted.yaml").read_text(encoding="utf-8"))
    return found


def every_filter(prose: Prose, times: int) -> Iterator[Row]:
    """Each planted text so many times, with a prompt of its own; whole answers that have to stay only once."""
    for number in range(times):
        for name, dropped, text in _of("secrets", "personal_data"):
            yield from _hidden(prose, name, dropped, text, LANGUAGES[number % len(LANGUAGES)])
        for name, dropped, text in _of("refusals", "boilerplate", "truncated", "language", "repetition"):
            if dropped or number == 0:
                yield _row(prose, name, dropped, text if isinstance(text, str) else _repeated(**text))
        yield from _ends(prose)


def _of(*filters: str) -> Iterator[tuple[str, str | None, Any]]:
    """(filter and name, the reason to drop it, text)."""
    for one in filters:
        for name, text in texts()[one]["dropped"].items():
            yield f"{one}: {name}", REASONS[one], text
        for name, text in texts()[one]["kept"].items():
            yield f"{one}: {name}", None, text


def _row(prose: Prose, name: str, reason: str | None, answer: str, **more: Any) -> Row:
    score = prose.random.choice((2.0, 3.0, 4.0))
    return Row(prose.text(), answer, name, reason=reason, score=score, **more)


def _hidden(prose: Prose, name: str, reason: str | None, text: str, language: str) -> Iterator[Row]:
    """In an answer of one of three scripts, in reasoning, and in an answer that a verifier refuses anyway."""
    said, thought, refused = (filled(text, prose.random) for _ in range(3))
    answer = f"{prose.text(language)} {SENTENCES[language].format(said)} {prose.text(language, 1)}"
    yield _row(prose, f"{name}, {language} answer", reason, answer)
    reasoning = f"{prose.text()} {SENTENCES['en'].format(thought)}"
    yield _row(prose, f"{name}, reasoning", reason, prose.text(), reasoning=reasoning)
    if reason:
        answer = f"REJECTED: {SENTENCES['en'].format(refused)}"
        yield Row(prose.text(), answer, f"{name}, refused", reason="verify:regex", harm=reason)


def _repeated(begin: str, unit: str, times: int) -> str:
    units = (unit.format(n=n, square=n * n, cube=n**3 + n) for n in range(1, times + 1))
    return begin + "".join(units)


def _ends(prose: Prose) -> Iterator[Row]:
    """What the reply says of its end and of its length."""
    cut = prose.text()[:-40]
    yield Row(prose.text(), cut, "cut off: length", reason="length", finish_reason="length")
    yield _row(prose, "cut off: max_tokens", "curate:truncated", cut + " and", finish_reason="max_tokens")
    yield _row(prose, "ends with a comma", "curate:truncated", prose.text(sentences=4)[:-1] + ",", finish_reason=None)
    yield _row(prose, "ends with a comma, by itself", None, prose.text(sentences=4)[:-1] + ",")
    yield _row(prose, "too long", "curate:too_long", prose.text(), tokens=MOST_TOKENS + 1)
    yield _row(prose, "as long as may be", None, prose.text(), tokens=MOST_TOKENS)
    yield _row(prose, "too short", "curate:too_short", "Nets", tokens=LEAST_TOKENS - 1)
    yield _row(prose, "as short as may be", None, "Yes", tokens=LEAST_TOKENS)
    yield Row(prose.text(), "REJECTED: " + prose.text(), "refused by the verifier", reason="verify:regex")
    yield Row(prose.text(), prose.text(), "a low score", reason="grade:low_score", score=0.0)
