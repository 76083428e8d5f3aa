"""A run's folder → one frozen model of what there is to show. Files of older versions lack some of it: that is None."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune import runs
from finetune.errors import BadInput
from finetune.reporting.report import Report, read_json, read_report
from harvester.records import Json

PROMPTS = "prompts"
EVALUATE_AGAIN = "run `finetune evaluate` again"


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
    facts, report = runs.read_facts(folder), read_report(folder)
    return Run(
        folder=folder,
        report=report,
        facts=facts,
        config=read_settings(folder),
        metrics=tuple(read_objects(folder / runs.METRICS, "train into another folder")),
        cases=_cases(folder / runs.ANSWERS, report.arms),
    )


def read_settings(folder: Path) -> dict[str, Any]:
    """What config.json says: dotted names → values.

    Raises:
        BadInput: it cannot be read.
    """
    return dict(_flat(read_json(folder / runs.CONFIG, "name a folder that `finetune train --out` wrote")))


def read_objects(path: Path, mend: str) -> Iterator[dict[str, Any]]:
    """The objects of a JSON Lines file; none where it is missing.

    Raises:
        BadInput: it cannot be read; `mend` says what to do.
    """
    if not path.exists():
        return
    try:
        found = runs.read_lines(path)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}; {mend}") from error
    except (ValueError, RecursionError) as error:
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


def _cases(folder: Path, arms: Collection[str]) -> tuple[Case, ...]:
    """The held-out prompts with the answers of the report's arms: others are of an earlier evaluation."""
    prompts: dict[str, dict[str, Any]] = {}
    answers: dict[str, dict[str, list[Answer]]] = {}
    # The prompts first: theirs is the order; in older runs the answers' is.
    for name in (PROMPTS, *sorted(arms)):
        path = folder / f"{name}.jsonl"
        for number, line in enumerate(read_objects(path, EVALUATE_AGAIN), start=1):
            seed = line.get("seed_id")
            if not isinstance(seed, str):
                raise BadInput(f"{path}: line {number}: seed_id: missing; {EVALUATE_AGAIN}")
            if name != PROMPTS and not (isinstance(line.get("answer"), str) and isinstance(line.get("passed"), bool)):
                raise BadInput(f"{path}: line {number}: no answer with its verdict; {EVALUATE_AGAIN}")
            if not _is_json([line.get("reference"), line.get("messages")]):
                raise BadInput(f"{path}: line {number}: holds NaN or half a character; {EVALUATE_AGAIN}")
            known = prompts.setdefault(seed, {})
            known.setdefault("reference", line.get("reference"))
            if name == PROMPTS:
                known["messages"] = _messages(line.get("messages"))
            else:
                answers.setdefault(seed, {}).setdefault(name, []).append(_answer(line))
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


def _is_json(value: Any) -> bool:
    """Python reads more than JSON has."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        return False
    return True


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
        text=line["answer"],
        passed=line["passed"],
        reason=None if line.get("reason") is None else str(line["reason"]),
        finished=bool(line.get("finished", True)),
        fields={str(name): bool(passed) for name, passed in fields.items()} if isinstance(fields, dict) else {},
        tokens=tokens if isinstance(tokens, int) else None,
    )
