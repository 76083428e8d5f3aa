"""Base, teacher and student on the same held-out prompts, scored by the same judge; every answer is kept."""

import json
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune import runs
from finetune.config import read_config
from finetune.data import Dataset, Message, Row, open_dataset, say
from finetune.errors import BadInput
from finetune.generation import greedy
from finetune.intervals import gap_recovered, interval
from finetune.rendering import Renderer
from finetune.student import load_adapter, load_base
from harvester.records import Json

ARMS = ("base", "base_instruction", "teacher", "student")
ROOM = 1.5
"""Generated answers may be this much longer than the longest answer trained on..."""
MIN_NEW_TOKENS = 64
"""...and at least this long."""

Lines = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One held-out seed with every answer the teacher gave to it."""

    seed_id: str
    messages: tuple[Message, ...]
    tools: Json
    reference: Json
    teacher: tuple[Row, ...]


def evaluate(
    run: str | Path,
    *,
    dataset: str | Path | None = None,
    limit: int | None = None,
    instruction: str | None = None,
    max_new_tokens: int | None = None,
) -> dict[str, Any]:
    """Scores the arms of a finished run on the test split; writes RUN/answers/ and RUN/report.json.

    Args:
        run: a finished run's folder.
        dataset: another dataset than the one trained on.
        limit: only the first so many prompts.
        instruction: for the arm base_instruction, in place of the recipe's.
        max_new_tokens: bound on each answer; by default from the longest answer trained on.

    Returns:
        The report.

    Raises:
        BadInput: the run is not finished, or the dataset cannot score it.
    """
    started, folder = time.monotonic(), Path(run)
    facts = runs.read_facts(folder)
    if facts.status != "trained":
        raise BadInput(f"{folder}: training is not finished; run the same `finetune train` command again first")
    data = open_dataset(Path(dataset or facts.dataset))
    if dataset is None and data.sha256 != facts.dataset_sha256:
        say(f"{data.path}: changed since the run was trained; scoring on what it is now")
    prompts = heldout_prompts(data, limit)
    room = max_new_tokens or max(MIN_NEW_TOKENS, int(ROOM * facts.longest_answer))
    answers = {"teacher": _teacher_lines(prompts)}
    answers |= _generated(folder, prompts, instruction or data.notes.student.instruction, room)
    for arm in ARMS:
        (folder / runs.ANSWERS / f"{arm}.jsonl").unlink(missing_ok=True)
        if arm in answers:
            runs.write_text(folder / runs.ANSWERS / f"{arm}.jsonl", runs.dump_lines(answers[arm]))
    result = summarise(answers) | {
        "overlap": overlap(data, prompts),
        "usd": data.notes.usd,
        "minutes": {
            "collect": data.notes.collect_minutes,
            "train": facts.train_minutes,
            "evaluate": (time.monotonic() - started) / 60,
        },
        "max_new_tokens": room,
        "dataset": {"path": str(data.path.resolve()), "sha256": data.sha256, "recipe": data.notes.recipe},
        "run": {"path": str(folder.resolve()), "config_sha256": facts.config_sha256, "steps": facts.steps},
    }
    runs.write_text(folder / runs.REPORT, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    return result


def heldout_prompts(data: Dataset, limit: int | None) -> list[Prompt]:
    """The held-out prompts in the dataset's order.

    Raises:
        BadInput: a row has nothing to be scored against.
    """
    by_seed: dict[str, list[Row]] = {}
    for row in data.split("test"):
        if row.reference is None:
            raise BadInput(
                f"{data.path}: split test: row {row.row_id}: column 'reference' is null; give the held-out seeds a "
                "`reference` and export again"
            )
        by_seed.setdefault(row.seed_id, []).append(row)
    prompts = [
        Prompt(
            seed_id=seed, messages=rows[0].prompt, tools=rows[0].tools, reference=rows[0].reference, teacher=(*rows,)
        )
        for seed, rows in by_seed.items()
    ]
    return prompts[:limit]


def summarise(answers: dict[str, Lines]) -> dict[str, Any]:
    """Arms and gap from the kept answers alone: what anyone can recompute from RUN/answers.

    Args:
        answers: the lines of each arm; several of one prompt are averaged, so each prompt weighs the same.
    """
    scores = {arm: scores_by_prompt(answers[arm]) for arm in ARMS if arm in answers}
    arms = {
        arm: {
            "n": len(found),
            "score": sum(found.values()) / len(found),
            "interval": list(interval(list(found.values()))),
            "unfinished": sum(not line["finished"] for line in answers[arm]),
        }
        for arm, found in scores.items()
    }
    seeds = list(scores["base"])
    base, teacher, student = ([scores[arm][seed] for seed in seeds] for arm in ("base", "teacher", "student"))
    gap = gap_recovered(base, teacher, student)
    if gap.interval is None:
        return {"arms": arms, "gap_recovered": {"value": None, "refusal": gap.refusal}}
    return {"arms": arms, "gap_recovered": {"value": gap.value, "interval": list(gap.interval)}}


def scores_by_prompt(lines: Lines) -> dict[str, float]:
    """Share of passed answers of each prompt."""
    passed: dict[str, list[bool]] = {}
    for line in lines:
        passed.setdefault(line["seed_id"], []).append(line["passed"])
    return {seed: sum(found) / len(found) for seed, found in passed.items()}


def read_answers(folder: Path) -> dict[str, Lines]:
    """The kept answers of a run, by arm."""
    return {path.stem: runs.read_lines(path) for path in sorted(folder.glob("*.jsonl"))}


def overlap(data: Dataset, prompts: Sequence[Prompt]) -> dict[str, int]:
    """How many test prompts the student has seen in train: the same messages, case and spaces aside."""
    seen = {_normalised(row.prompt) for row in data.splits.get("train", [])}
    return {"prompts": sum(_normalised(prompt.messages) in seen for prompt in prompts), "of": len(prompts)}


def _normalised(messages: Sequence[Message]) -> tuple[tuple[str, str], ...]:
    return tuple((message["role"], " ".join(message["content"].lower().split())) for message in messages)


def _teacher_lines(prompts: Sequence[Prompt]) -> Lines:
    return [
        _line(prompt, row.sample, row.answer, finished=bool(row.answer) and row.finish_reason != "length")
        for prompt in prompts
        for row in prompt.teacher
    ]


def _generated(folder: Path, prompts: Sequence[Prompt], instruction: str | None, room: int) -> dict[str, Lines]:
    base = load_base(read_config(folder / runs.CONFIG).model)
    renderer = Renderer(base.tokenizer, base.stop_ids)
    model = load_adapter(base.model, folder / runs.ADAPTER)
    plain = [renderer.prompt_ids(prompt.messages, prompt.tools) for prompt in prompts]
    ids = {"base": plain, "student": plain}
    if instruction is None:
        say("base_instruction: skipped, the recipe gives no student.instruction; see --instruction")
    else:
        turns = [(renderer.with_instruction(prompt.messages, instruction), prompt.tools) for prompt in prompts]
        ids["base_instruction"] = [renderer.prompt_ids(messages, tools) for messages, tools in turns]
    found = {}
    for arm, arm_ids in ids.items():
        # The base arms run on the very weights the student sits on.
        with nullcontext() if arm == "student" else model.disable_adapter():
            answers = greedy(model, base, arm_ids, max_new_tokens=room, label=f"{arm}: answering")
        found[arm] = [
            _line(prompt, 0, answer.text, finished=answer.finished)
            for prompt, answer in zip(prompts, answers, strict=True)
        ]
    return found


def _line(prompt: Prompt, sample: int, answer: str, *, finished: bool) -> dict[str, Any]:
    # Imported when needed: the judge is Harvester's, and training does without it.
    from harvester.verify import matches_reference  # noqa: PLC0415

    check = matches_reference(answer, prompt.reference)
    return {
        "seed_id": prompt.seed_id,
        "sample": sample,
        "answer": answer,
        "reference": prompt.reference,
        "passed": check.passed,
        "reason": check.reason,
        "finished": finished,
    }
