"""Several evaluated runs beside each other: scores, settings that differ, loss curves, and what may be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finetune import runs
from finetune.errors import BadInput
from finetune.intervals import paired_difference, too_few
from finetune.reporting import figures, words
from finetune.reporting.naming import names_of, settings_apart, settings_lines
from finetune.reporting.page import render
from finetune.reporting.plots import Chart, Series, lines, ranges
from finetune.reporting.reading import Case, Run, read_run
from finetune.reporting.report import ORDER
from harvester.records import digest

STUDENT = "student"


@dataclass(frozen=True, slots=True)
class Change:
    """A later run's student minus the first one's, in score."""

    run: str
    than: str
    value: float | None  # None where the two answered different prompts
    interval: tuple[float, float] | None
    refusal: str | None  # why there is no interval


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that the page and the table show."""

    names: tuple[str, ...]
    runs: tuple[Run, ...]
    same_prompts: tuple[bool, ...]  # as the first run's; the first one's is True
    changes: tuple[Change, ...]
    settings: Mapping[str, tuple[Any, ...]]  # those that differ: a value for each run, None where it has none

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that any of the runs has."""
        found = {arm for run in self.runs for arm in run.report.arms}
        return tuple(sorted(found, key=lambda arm: (ORDER.index(arm) if arm in ORDER else len(ORDER), arm)))


def compare(folders: Sequence[Path]) -> Comparison:
    """Reads the runs; the first is what the others are compared with.

    Raises:
        BadInput: fewer than two runs, one of them twice, or one that is not evaluated.
    """
    names, found = names_of(folders), [read_run(folder) for folder in folders]
    prompts = [_prompts(run.cases) for run in found]
    same = [mine == prompts[0] for mine in prompts]
    changes = [
        _change(names[place], names[0], run, found[0], same=same[place]) for place, run in enumerate(found) if place > 0
    ]
    return Comparison(
        (*names,), (*found,), (*same,), (*changes,), settings_apart([(run.facts, run.config) for run in found])
    )


def write_comparison(found: Comparison, path: Path) -> Path:
    """Writes the page.

    Raises:
        BadInput: it cannot be written.
    """
    try:
        if path.exists() and not path.read_bytes().lstrip().lower().startswith(b"<!doctype html>"):
            raise BadInput(f"--out {path}: exists and is not a page; name another file")
        runs.write_text(path, comparison_html(found))
    except OSError as error:
        raise BadInput(f"--out {path}: cannot be written ({error.strerror}); name another file") from error
    return path


def comparison_html(found: Comparison) -> str:
    """The page."""
    members = [
        {"name": name, "run": run, "same": same, "change": change}
        for name, run, same, change in zip(
            found.names, found.runs, found.same_prompts, (None, *found.changes), strict=True
        )
    ]
    settings = [
        (name, *(words.plain(value, words.NOT_SET) for value in values)) for name, values in found.settings.items()
    ]
    charts = [chart for chart in (_scores(found), _losses(found)) if chart is not None]
    return render("compare.html.j2", found=found, members=members, settings=settings, charts=charts)


def comparison_json(found: Comparison) -> dict[str, Any]:
    """The same for programs."""
    return {
        "runs": [
            {
                "name": name,
                "path": str(run.folder.resolve()),
                "same_prompts": same,
                **run.report.model_dump(mode="json", include={"arms", "gap_recovered", "overlap", "usd", "minutes"}),
            }
            for name, run, same in zip(found.names, found.runs, found.same_prompts, strict=True)
        ],
        "changes": [asdict(change) for change in found.changes],
        "settings": {name: list(values) for name, values in found.settings.items()},
    }


def comparison_table(found: Comparison) -> str:
    """The same as plain text."""
    wide = max(len("run"), *map(len, found.names)) + 2
    cells = max(len("base_instruction"), *map(len, found.arms)) + 2
    rows = ["run".ljust(wide) + "n".rjust(5) + "".join(arm.rjust(cells) for arm in found.arms)]
    for name, run, same in zip(found.names, found.runs, found.same_prompts, strict=True):
        arms = run.report.arms
        scores = (words.percent(arms[arm].score) if arm in arms else "-" for arm in found.arms)
        n = next((arms[arm].n for arm in found.arms if arm in arms), 0)
        mark = "" if same else f"   not comparable: {DIFFERENT}"
        rows.append(f"{name:<{wide}}{n:>5}" + "".join(score.rjust(cells) for score in scores) + mark)
    rows.append("")
    for change in found.changes:
        sure = f"95 % interval {words.points_span(change.interval)}" if change.interval else change.refusal
        said = sure if change.value is None else f"{words.points(change.value)} points ({sure})"
        rows.append(f"student of {change.run} - student of {change.than}: {said}")
    rows += ["", *settings_lines(found.settings)]
    return words.ascii_spaces("\n".join(rows).rstrip())


DIFFERENT = "different held-out prompts"


def _prompts(cases: Sequence[Case]) -> dict[str, str]:
    """What was asked and what counts as right, by seed."""
    return {case.seed_id: digest([list(map(dict, case.messages or ())), case.reference]) for case in cases}


def _scores_by_prompt(run: Run) -> dict[str, float]:
    asked = {case.seed_id: case.answers[STUDENT] for case in run.cases if STUDENT in case.answers}
    return {seed: sum(answer.passed for answer in answers) / len(answers) for seed, answers in asked.items()}


def _change(name: str, than: str, run: Run, first: Run, *, same: bool) -> Change:
    if not same:
        return Change(name, than, None, None, f"not comparable: {DIFFERENT}")
    ours, theirs = _scores_by_prompt(run), _scores_by_prompt(first)
    if not ours or ours.keys() != theirs.keys():
        return Change(name, than, None, None, "not comparable: the students' answers are not recorded")
    seeds = list(ours)
    value, interval = paired_difference([ours[seed] for seed in seeds], [theirs[seed] for seed in seeds])
    return Change(name, than, value, interval, None if interval else too_few(len(seeds)))


def _scores(found: Comparison) -> Chart | None:
    rows = [
        figures.score_row(name, place, run.report.arms[STUDENT])
        for place, (name, run) in enumerate(zip(found.names, found.runs, strict=True))
        if STUDENT in run.report.arms
    ]
    axis = "held-out prompts answered right, % (95 % interval)"
    return ranges("chart-scores", "Students' scores", axis, rows, ends=(0, 100)) if rows else None


def _losses(found: Comparison) -> Chart | None:
    series = [
        Series(name, line.points, place)
        for place, (name, run) in enumerate(zip(found.names, found.runs, strict=True))
        for line in figures.loss_series(run)
        if line.name == "train"
    ]
    axes = "optimiser step", figures.loss_axis(found.runs)
    return lines("chart-loss", "Loss on train", axes, series) if series else None
