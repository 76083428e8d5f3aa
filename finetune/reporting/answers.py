"""Answers side by side: where the student failed first; not all of them, and none at more than readable length."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from finetune.reporting.reading import Answer, Case
from finetune.reporting.words import title
from harvester.records import Json, printable

MOST_CASES = 200
LONGEST_TEXT = 4000
"""Characters: about two screens."""
_TEASER = 90
_OPEN = 10


@dataclass(frozen=True, slots=True)
class Text:
    """A text as far as it is shown."""

    shown: str
    left_out: int  # characters


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """One answer of one arm."""

    arm: str
    title: str
    file: str
    text: Text
    answer: Answer


@dataclass(frozen=True, slots=True)
class ShownCase:
    """One held-out prompt as the page has it."""

    number: int
    teaser: str
    messages: tuple[tuple[str, Text], ...] | None  # role, content
    reference: Text | None
    marks: tuple[tuple[str, bool], ...]  # arm's title, passed
    answers: tuple[ShownAnswer, ...]
    is_open: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Cases that have something in common."""

    ident: str
    title: str
    count: int  # in all, shown or not
    cases: tuple[ShownCase, ...]


def groups(cases: Sequence[Case], arms: Sequence[str]) -> tuple[Group, ...]:
    """Cases by what is worth looking at first; empty groups are left out.

    Args:
        cases: the held-out prompts in order.
        arms: in the order of the page.
    """
    kinds: dict[str, list[Case]] = {"student-failed": [], "teacher-failed": [], "rest": []}
    for case in cases:
        failed = [case.passed(arm) is False for arm in ("student", "teacher")]
        kinds["student-failed" if failed[0] else "teacher-failed" if failed[1] else "rest"].append(case)
    titles = {
        "student-failed": "The student failed",
        "teacher-failed": "The teacher failed, the student did not",
        "rest": "Neither failed",
    }
    found, room = [], MOST_CASES
    for kind, members in kinds.items():
        shown = members[:room]
        room -= len(shown)
        is_open = kind == "student-failed"
        rows = [_case(case, arms, is_open=is_open and place < _OPEN) for place, case in enumerate(shown)]
        if members:
            found.append(Group(kind, titles[kind], len(members), (*rows,)))
    return tuple(found)


def _case(case: Case, arms: Sequence[str], *, is_open: bool) -> ShownCase:
    first = ("student", "teacher", *arms)
    names = [arm for arm in dict.fromkeys((*first, *case.answers)) if arm in case.answers]
    marks = [(title(arm), bool(case.passed(arm))) for arm in names]
    return ShownCase(
        number=case.number,
        teaser=_teaser(case),
        messages=None if case.messages is None else tuple(_message(message) for message in case.messages),
        reference=None if case.reference is None else cut(_pretty(case.reference)),
        marks=(*marks,),
        answers=tuple(
            ShownAnswer(arm, title(arm), f"answers/{arm}.jsonl", cut(answer.text), answer)
            for arm in names
            for answer in case.answers[arm]
        ),
        is_open=is_open,
    )


def _message(message: Mapping[str, str]) -> tuple[str, Text]:
    return message["role"], cut(message["content"])


def cut(text: str) -> Text:
    """The start of a text, and how much is missing."""
    return Text(text[:LONGEST_TEXT], max(len(text) - LONGEST_TEXT, 0))


def _teaser(case: Case) -> str:
    asked = [message["content"] for message in case.messages or () if message["role"] == "user"]
    text = printable(asked[-1][: 4 * _TEASER]) if asked else ""
    if not text:
        return f"prompt {case.seed_id[:12]}"
    return text if len(text) <= _TEASER else f"{text[:_TEASER]}…"


def _pretty(reference: Json) -> str:
    return reference if isinstance(reference, str) else json.dumps(reference, ensure_ascii=False)
