"""Several runs whose answers were not scored beside each other: how likely each student finds the teacher's answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune import runs
from finetune.errors import BadInput
from finetune.likelihood import Measured
from finetune.nearness import STUDENT, students_apart
from finetune.reporting.heldout import Apart, Heldout, read_heldout, read_measured
from finetune.reporting.naming import Settings, names_of, settings_apart, settings_lines
from finetune.reporting.nearness import TITLES, apart_span, in_words, mean_span
from finetune.reporting.reading import read_settings
from finetune.reporting.words import ascii_spaces


@dataclass(frozen=True, slots=True)
class Near:
    """What is known of one run."""

    name: str
    folder: Path
    facts: runs.Facts
    config: Mapping[str, Any]  # dotted names → values
    heldout: Heldout
    rows: tuple[Measured, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What a later run's student has more than the first one's."""

    run: str
    than: str
    differences: tuple[Apart, ...]  # none where `refusal` is given
    same_tokens: bool | None  # where not, the differences are by byte alone; None where `refusal` is given
    refusal: str | None  # why they are not compared


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that is shown."""

    runs: tuple[Near, ...]
    changes: tuple[Change, ...]  # of each run but the first
    settings: Settings


def are_scored(folders: Sequence[Path]) -> bool:
    """Whether it is scores that the runs are compared by; so it is, too, where neither kind was measured.

    Raises:
        BadInput: fewer than two runs, one of them twice, or some of each kind.
    """
    names = names_of(folders)
    scored = [(folder / runs.REPORT).exists() for folder in folders]
    near = [(folder / runs.HELDOUT).exists() for folder in folders]
    with_scores = [name for name, has, other in zip(names, scored, near, strict=True) if has and not other]
    without = [name for name, has, other in zip(names, scored, near, strict=True) if other and not has]
    if not without:
        return True
    if with_scores:
        kinds = f"{', '.join(with_scores)} scored, {', '.join(without)} not (no `reference`)"
        raise BadInput(f"compare: {kinds}: scores do not compare with likelihoods; name runs of one kind")
    return False


def compare(folders: Sequence[Path]) -> Comparison:
    """Reads the runs; the first is what the others are compared with.

    Raises:
        BadInput: fewer than two runs, one of them twice, or one that is not evaluated, or damaged.
    """
    found = [_read(name, folder) for name, folder in zip(names_of(folders), folders, strict=True)]
    changes = [_change(run, found[0]) for run in found[1:]]
    return Comparison((*found,), (*changes,), settings_apart([(run.facts, run.config) for run in found]))


def as_json(found: Comparison) -> dict[str, Any]:
    """The same for programs."""
    return {
        "runs": [
            {
                "name": run.name,
                "path": str(run.folder.resolve()),
                "same_answers": _answers(run) == _answers(found.runs[0]),
                **run.heldout.model_dump(mode="json", include={"rows", "overlap"}),
                STUDENT: {measure: one and one.model_dump(mode="json") for measure, one in _means(run).items()},
            }
            for run in found.runs
        ],
        "changes": [
            {
                "run": change.run,
                "than": change.than,
                "same_tokens": change.same_tokens,
                "differences": [
                    one.model_dump(mode="json", exclude={"arm", "than"}) | {"verdict": in_words(one)}
                    for one in change.differences
                ],
                "refusal": change.refusal,
            }
            for change in found.changes
        ],
        "settings": {name: list(values) for name, values in found.settings.items()},
    }


def as_table(found: Comparison) -> str:
    """The same as plain text."""
    cells = list(_cells(found))
    wide = max(len(cell[1]) for cell in cells) + 2
    rows = [f"{title:<16}{name:<{wide}}{n:>5}{value:>10}   {sure}" for title, name, n, value, sure in cells]
    said = [*_notes(found), "", *settings_lines(found.settings)]
    return ascii_spaces(
        "\n".join(["students, by their teacher's answers to held-out prompts", "", *rows, "", *said]).rstrip()
    )


def _read(name: str, folder: Path) -> Near:
    facts, heldout = runs.read_facts(folder), read_heldout(folder)
    if heldout is None:
        raise BadInput(f"{folder / runs.HELDOUT}: missing; run `finetune evaluate {folder}` first")
    return Near(name, folder, facts, read_settings(folder), heldout, read_measured(folder, heldout.rows.measured))


def _change(run: Near, first: Near) -> Change:
    if _answers(run) != _answers(first):
        return Change(run.name, first.name, (), None, "not comparable: not the same answers were measured")
    found, same_tokens = students_apart(run.rows, first.rows, run.name, first.name)
    return Change(run.name, first.name, tuple(map(Apart.model_validate, found)), same_tokens, None)


def _answers(run: Near) -> set[tuple[str, str, int]]:
    """What was measured. With its size, as an answer that was asked for again or edited may keep its id."""
    return {(row.row_id, row.seed_id, row.size) for row in run.rows}


def _means(run: Near) -> dict[str, Any]:
    found = run.heldout.models.get(STUDENT, {})
    return {measure: found.get(measure) for measure in TITLES}


def _cells(found: Comparison) -> Iterator[tuple[str, str, str, str, str]]:
    """What, of whom, over how many prompts, its value and how sure that is."""
    yield "measure", "student of", "n", "mean", "95 % interval"
    for measure, title in TITLES.items():
        for run in found.runs:
            if (one := _means(run)[measure]) is not None:
                yield title, run.name, str(one.n), f"{one.mean:.4f}", mean_span(one.interval)
        for change in found.changes:
            for apart in change.differences:
                if apart.measure == measure:
                    name = f"{change.run} - {change.than}"
                    yield title, name, str(apart.n), f"{apart.value:+.4f}", apart_span(apart)


def _notes(found: Comparison) -> Iterator[str]:
    """What is not compared, and who has seen the prompts."""
    for change in found.changes:
        names = f"student of {change.run} - student of {change.than}"
        if change.refusal is not None:
            yield f"{names}: {change.refusal}"
        elif not change.same_tokens:
            yield f"{names}: by byte alone, as they cut the answers into other tokens"
    for run in found.runs:
        if seen := run.heldout.overlap.prompts:
            of = f"{seen} of the {run.heldout.overlap.of} held-out prompts"
            yield f"WARNING: {run.name}: {of} were also in the training data, so its student looks better than it is"
