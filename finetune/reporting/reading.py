"""A run's folder → one frozen model of what there is to show. Files of older versions lack some of it: that is None."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from finetune import runs
from finetune.errors import BadInput
from harvester.records import Json

PROMPTS = "prompts"
ORDER = ("base", "base_instruction", "teacher", "student", "unfiltered")

Interval = tuple[float, float]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Score(_Part):
    """Share of prompts answered right."""

    n: int
    score: float
    interval: Interval | None = None


class AnswerTokens(_Part):
    """How long an arm's answers are."""

    median: float | None = None
    p95: float | None = None


class Arm(Score):
    """One answerer of the held-out prompts."""

    unfinished: int | None = None
    fields: Mapping[str, Score] = {}
    answer_tokens: AnswerTokens | None = None


class Difference(_Part):
    """Score of `arm` minus score of `than`, paired by prompt."""

    arm: str
    than: str
    value: float
    interval: Interval | None = None


class Gap(_Part):
    """(student - base) / (teacher - base), or why it is not given."""

    value: float | None = None
    interval: Interval | None = None
    refusal: str | None = None


class Overlap(_Part):
    """Held-out prompts that were trained on."""

    prompts: int
    of: int


class Report(_Part):
    """report.json (docs/design/011-honest-student.md)."""

    arms: Mapping[str, Arm]
    differences: tuple[Difference, ...] | None = None
    gap_recovered: Gap | None = None
    overlap: Overlap | None = None
    usd: float | None = None
    minutes: Mapping[str, float] = {}
    cost: Mapping[str, Any] | None = None
    data: Mapping[str, Any] | None = None
    dataset: Mapping[str, Any] = {}
    run: Mapping[str, Any] = {}
    max_new_tokens: int | None = None
    versions: Mapping[str, str] = {}  # package → version


@dataclass(frozen=True, slots=True)
class Answer:
    """What one arm said to one prompt."""

    text: str
    passed: bool
    reason: str | None
    finished: bool
    fields: Mapping[str, bool]
    tokens: int | None


@dataclass(frozen=True, slots=True)
class Case:
    """One held-out prompt with everybody's answers."""

    number: int  # its place among the held-out prompts, from 1
    seed_id: str
    messages: tuple[Mapping[str, str], ...] | None
    reference: Json
    answers: Mapping[str, tuple[Answer, ...]]

    def passed(self, arm: str) -> bool | None:
        """Whether each of an arm's answers is right; None where it gave none."""
        found = self.answers.get(arm, ())
        return all(answer.passed for answer in found) if found else None


@dataclass(frozen=True, slots=True)
class Run:
    """What is known of one evaluated run."""

    folder: Path
    report: Report
    facts: runs.Facts
    config: Mapping[str, Any]  # dotted names → values, as config.json has them
    metrics: tuple[Mapping[str, Any], ...]
    cases: tuple[Case, ...]


def read_run(folder: Path) -> Run:
    """Everything a report shows.

    Raises:
        BadInput: the folder is not an evaluated run, or a file in it is broken.
    """
    facts = runs.read_facts(folder)
    return Run(
        folder=folder,
        report=_report(folder),
        facts=facts,
        config=dict(_flat(_json(folder / runs.CONFIG, "name a folder that `finetune train --out` wrote"))),
        metrics=tuple(_lines(folder / runs.METRICS, "train into another folder")),
        cases=_cases(folder / runs.ANSWERS),
    )


def _report(folder: Path) -> Report:
    path = folder / runs.REPORT
    mend = f"run `finetune evaluate {folder}` {'again' if path.exists() else 'first'}"
    try:
        found = Report.model_validate(_json(path, mend))
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{path}: {'.'.join(map(str, first['loc'])) or '(all)'}: {first['msg']}; {mend}") from error
    names = [*ORDER, *sorted(found.arms.keys() - set(ORDER))]
    return found.model_copy(update={"arms": {name: found.arms[name] for name in names if name in found.arms}})


def _json(path: Path, mend: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}; {mend}") from error
    except ValueError as error:
        raise BadInput(f"{path}: not JSON ({error}); {mend}") from error


def _lines(path: Path, mend: str) -> Iterator[dict[str, Any]]:
    """The objects of a JSON Lines file; none where it is missing."""
    if not path.exists():
        return
    try:
        found = runs.read_lines(path)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: not JSON Lines ({error}); {mend}") from error
    for number, line in enumerate(found, start=1):
        if not isinstance(line, dict):
            raise BadInput(f"{path}: line {number}: not an object; {mend}")
        yield line


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def _cases(folder: Path) -> tuple[Case, ...]:
    prompts: dict[str, dict[str, Any]] = {}
    answers: dict[str, dict[str, list[Answer]]] = {}
    # The prompts first: theirs is the order; in older runs the answers' is.
    found = [path for path in folder.glob("*.jsonl") if path.suffixes == [".jsonl"]]  # none that is under way
    paths = sorted(found, key=lambda path: (path.stem != PROMPTS, path.stem))
    for path in paths:
        for number, line in enumerate(_lines(path, "run `finetune evaluate` again"), start=1):
            seed = line.get("seed_id")
            if not isinstance(seed, str):
                raise BadInput(f"{path}: line {number}: seed_id: missing; run `finetune evaluate` again")
            known = prompts.setdefault(seed, {})
            known.setdefault("reference", line.get("reference"))
            if path.stem == PROMPTS:
                known["messages"] = _messages(line.get("messages"))
            else:
                answers.setdefault(seed, {}).setdefault(path.stem, []).append(_answer(line))
    return tuple(
        Case(
            number=number,
            seed_id=seed,
            messages=known.get("messages"),
            reference=known["reference"],
            answers={arm: (*found,) for arm, found in answers.get(seed, {}).items()},
        )
        for number, (seed, known) in enumerate(prompts.items(), start=1)
    )


def _messages(found: Any) -> tuple[Mapping[str, str], ...] | None:
    if not isinstance(found, list):
        return None
    return tuple(
        {"role": str(message.get("role") or "?"), "content": str(message.get("content") or "")}
        for message in found
        if isinstance(message, dict)
    )


def _answer(line: Mapping[str, Any]) -> Answer:
    fields, tokens = line.get("fields"), line.get("tokens")
    return Answer(
        text=str(line.get("answer") or ""),
        passed=bool(line.get("passed")),
        reason=line.get("reason"),
        finished=bool(line.get("finished", True)),
        fields={str(name): bool(passed) for name, passed in fields.items()} if isinstance(fields, dict) else {},
        tokens=tokens if isinstance(tokens, int) else None,
    )
