"""Base, teacher, student and controls on the same held-out prompts, scored by the same judge; every answer is kept."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from finetune import identity, runs
from finetune.answers import Lines, Shelf
from finetune.arms import Arm, Sitting, teacher_lines
from finetune.config import RunConfig
from finetune.costs import Spent, bill
from finetune.data import Dataset, open_dataset, say
from finetune.describing import describe, usd_per_answer
from finetune.errors import BadInput
from finetune.heldout import Prompt, has_references, heldout_prompts, overlap
from finetune.likelihood import measure
from finetune.nearness import summarise as summarise_nearness
from finetune.notes import NOTES, read_notes
from finetune.reporting import HTML, write_report
from finetune.scoring import summarise

ROOM = 1.5
"""Generated answers may be this much longer than the longest answer trained on..."""
MIN_NEW_TOKENS = 64
"""...and at least this long."""


def evaluate(
    run: str | Path,
    *,
    dataset: str | Path | None = None,
    unfiltered: str | Path | None = None,
    limit: int | None = None,
    instruction: str | None = None,
    max_new_tokens: int | None = None,
    usd_per_hour: float | None = None,
) -> dict[str, Any]:
    """Scores the arms of a finished run on the test split; writes RUN/answers/, RUN/report.json and RUN/report.html.

    Where no held-out row has a `reference` nothing can be scored. Then it measures how likely base and student find the
    teacher's own answers, and writes RUN/heldout.json instead.

    Interrupted, it keeps the answers that are there, and goes on from them. The report has the arms that are asked for
    now; stored answers of another one (an earlier `unfiltered`) stay for the next time.

    Args:
        run: a finished run's folder.
        dataset: another dataset than the one trained on.
        unfiltered: a run on the same base that was trained on the rejected answers too: the arm `unfiltered`.
        limit: only the first so many prompts.
        instruction: for the arm base_instruction, in place of the recipe's.
        max_new_tokens: bound on each answer; by default from the longest answer trained on.
        usd_per_hour: what the machine costs.

    Returns:
        The report, or what heldout.json says.

    Raises:
        BadInput: a run is not finished, another process evaluates it, the dataset cannot score it, or it has no
            references and the arguments are about answers that are scored.
    """
    started, folder = time.monotonic(), Path(run)
    facts, config = runs.read_finished(folder)
    identity.require_unchanged(folder, facts.base_sha256, config.model)
    data = open_dataset(Path(dataset or facts.dataset))
    if dataset is None and data.sha256 != facts.dataset_sha256:
        say(f"{data.path}: changed since the run was trained; scoring on what it is now")
    prompts = heldout_prompts(data, limit)
    if not has_references(data):
        of_scores = {"unfiltered": unfiltered, "instruction": instruction, "usd-per-hour": usd_per_hour}
        _refuse(data, of_scores | {"max-new-tokens": max_new_tokens})
        return _nearness(folder, facts, config, data, prompts)
    room = max_new_tokens or max(MIN_NEW_TOKENS, int(ROOM * facts.longest_answer))
    # All that can be refused is refused here, before anything of an earlier evaluation is touched.
    arms = list(_arms(folder, config, instruction or data.notes.student.instruction, unfiltered))
    asked = [(arm, arm.made_with(data, len(prompts), room)) for arm in arms]
    shelf = Shelf(folder)
    with shelf.held():
        answers, seconds = _answers(shelf, prompts, asked, room)
        minutes = {
            "collect": data.notes.collect_minutes,
            "train": facts.train_minutes,
            "evaluate": max(time.monotonic() - started, sum(seconds.values())) / 60,
        }
        found = summarise(answers) | {"overlap": overlap(data, prompts), "usd": data.notes.usd, "minutes": minutes}
        result = found | {
            "cost": bill(_spent(found, data, minutes, usd_per_hour, seconds["student"] / len(prompts))),
            "data": describe(data, facts),
            "max_new_tokens": room,
            **_made_of(folder, facts, data),
        }
        _write(folder / runs.REPORT, result)
        write_report(folder)
    return result


def _refuse(data: Dataset, of_scores: Mapping[str, Any]) -> None:
    for name, value in of_scores.items():
        if value is not None:
            raise BadInput(
                f"--{name}: is of answers that are scored, and no held-out row of {data.path} has a `reference`; leave"
                " it out, or give the held-out seeds one and export again"
            )


def _nearness(
    folder: Path, facts: runs.Facts, config: RunConfig, data: Dataset, prompts: Sequence[Prompt]
) -> dict[str, Any]:
    """How near the student is to the teacher's own answers; RUN/heldout.json and, by row, RUN/heldout.jsonl."""
    started = time.monotonic()
    rows = [row for prompt in prompts for row in prompt.teacher]
    say(f"{data.path}: no held-out row has a `reference`, so the likelihood of the teacher's answers is measured")
    found, left_out = measure(folder, config, rows, data.notes)
    if not found:
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise BadInput(f"{data.path}: split test: no answer can be measured ({reasons}); collect others")
    result = {
        "rows": {
            "measured": len(found),
            "left_out": left_out,
            "with_lists": sum(row.models["student"].divergence is not None for row in found),
            "with_teacher": sum("teacher" in row.models for row in found),
        },
        **summarise_nearness(found),
        "overlap": overlap(data, prompts),
        "minutes": {"evaluate": (time.monotonic() - started) / 60},
        **_made_of(folder, facts, data),
    }
    runs.write_text(folder / runs.HELDOUT_ROWS, runs.dump_lines([asdict(row) for row in found]))
    _write(folder / runs.HELDOUT, result)
    return result


def _write(path: Path, result: dict[str, Any]) -> None:
    runs.write_text(path, json.dumps(result, indent=2, ensure_ascii=False) + "\n")


def _answers(
    shelf: Shelf, prompts: Sequence[Prompt], asked: Sequence[tuple[Arm, dict[str, Any]]], room: int
) -> tuple[dict[str, Lines], dict[str, float]]:
    """Each arm's answers, and the seconds that those which were generated took."""
    # A report never stands beside answers that it was not made of.
    for name in (runs.REPORT, HTML):
        (shelf.folder.parent / name).unlink(missing_ok=True)
    shelf.write_prompts(prompts)
    answers: dict[str, Lines] = {"teacher": teacher_lines(prompts)}
    shelf.keep("teacher", answers["teacher"], None, 0.0)
    seconds = {}
    for arm, lines, took in Sitting(prompts, shelf, room).ask(asked):
        answers[arm], seconds[arm] = lines, took
    if "unfiltered" not in answers and shelf.has("unfiltered"):
        say("unfiltered: not asked for; its answers of before stay, and count again with --unfiltered")
    return answers, seconds


def _made_of(folder: Path, facts: runs.Facts, data: Dataset) -> dict[str, Any]:
    """Which dataset, run and packages the numbers are of."""
    return {
        "dataset": {"path": str(data.path.resolve()), "sha256": data.sha256, "recipe": data.notes.recipe},
        "run": {
            "path": str(folder.resolve()),
            "config_sha256": facts.config_sha256,
            "steps": facts.steps,
            "dev_loss_before": facts.dev_loss_before,
            "dev_loss": facts.dev_loss,
        },
        "versions": runs.versions(),
    }


def _arms(folder: Path, config: RunConfig, instruction: str | None, unfiltered: str | Path | None) -> Iterator[Arm]:
    """Those that must be asked, in an order in which arms that share a model follow each other."""
    yield Arm("base", folder, config)
    if instruction is None:
        say("base_instruction: skipped, the recipe gives no student.instruction; see --instruction")
    else:
        yield Arm("base_instruction", folder, config, instruction)
    yield Arm("student", folder, config)
    if unfiltered is not None:
        other = Path(unfiltered)
        if other.resolve() == folder.resolve():
            raise BadInput(f"--unfiltered {other}: is RUN itself; name one trained on `harvester export --unfiltered`")
        other_facts, other_config = runs.read_finished(other)
        if other_config.model != config.model:
            raise BadInput(
                f"--unfiltered {other}: was trained on {other_config.model}, this run on {config.model}; name a run "
                "that differs in its rows only"
            )
        identity.require_unchanged(other, other_facts.base_sha256, other_config.model)
        if (other / NOTES).exists() and not read_notes(other).unfiltered:
            say(f"--unfiltered {other}: its dataset was filtered too; export another one with --unfiltered")
        yield Arm("unfiltered", other, other_config)


def _spent(
    found: dict[str, Any], data: Dataset, minutes: dict[str, float], usd_per_hour: float | None, student_s: float
) -> Spent:
    lead = next(one for one in found["differences"] if one["than"] == "base")
    return Spent(
        harvest_usd=data.notes.usd,
        minutes=minutes,
        usd_per_hour=usd_per_hour,
        teacher_usd=usd_per_answer(data.path),
        student_s=student_s,
        lead=lead["value"],
        lead_is_clear=lead["interval"] is not None and lead["interval"][0] > 0,
    )
