"""One HTML file that needs nothing else: no script, no font, no picture from anywhere."""

from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from finetune import runs
from finetune.reporting import figures, headline, words
from finetune.reporting.answers import MOST_CASES, groups
from finetune.reporting.costs import bill
from finetune.reporting.data import data_card
from finetune.reporting.reading import Run, read_run

HTML = "report.html"
HERE = Path(__file__).parent


def write_report(folder: Path) -> Path:
    """Writes RUN/report.html from the files that `finetune train` and `finetune evaluate` left.

    Returns:
        Where it is.

    Raises:
        BadInput: the folder is not an evaluated run.
    """
    path = folder / HTML
    runs.write_text(path, report_html(read_run(folder)))
    return path


def report_html(run: Run) -> str:
    """The page of one run."""
    found, drawn = groups(run.cases, tuple(run.report.arms)), figures.charts(run)
    return render(
        "report.html.j2",
        run=run,
        report=run.report,
        facts=run.facts,
        name=run.facts.recipe,
        warnings=headline.warnings(run.report),
        verdict=headline.verdict(run.report),
        gap=headline.gap(run.report.gap_recovered),
        fields=list(dict.fromkeys(field for arm in run.report.arms.values() for field in arm.fields)),
        charts=drawn,
        missing_charts=[name for name in figures.NAMES if name not in {chart.title for chart in drawn}],
        lengths={arm: figures.answer_tokens(run, arm) for arm in run.report.arms},
        groups=found,
        left_out=sum(group.count - len(group.cases) for group in found),
        most_cases=MOST_CASES,
        bill=bill(run.report),
        data=None if run.report.data is None else data_card(run.report.data),
        made_of=_made_of(run),
        settings=[(name, words.plain(value, words.NOT_SET)) for name, value in run.config.items()],
    )


def _made_of(run: Run) -> list[tuple[str, Any]]:
    """What somebody needs to get the same run again."""
    facts, dataset = run.facts, run.report.dataset
    machine = f"{facts.device}, {facts.dtype}, {facts.processes} process{'es' if facts.processes > 1 else ''}"
    return [
        ("Recipe", facts.recipe),
        ("Dataset, SHA-256 of its files", facts.dataset_sha256),
        (
            "Dataset evaluated on",
            "the same" if dataset.sha256 == facts.dataset_sha256 else dataset.sha256,
        ),
        ("Settings, SHA-256", facts.config_sha256),
        ("Steps", f"{facts.steps:,}, ended by {words.label(facts.ended_by)}"),
        ("Machine", machine if facts.device else None),
        ("Most tokens of an answer", run.report.max_new_tokens),
        ("Versions", run.report.versions or None),
    ]


def render(template: str, **values: Any) -> str:
    """A page; whatever others wrote is escaped, and what HTML cannot carry is replaced."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=words.clean,
    )
    environment.globals["style"] = Markup((HERE / "style.css").read_text(encoding="utf-8"))  # noqa: S704 - our own file
    environment.globals["colour"] = figures.colour
    environment.filters["in_words"] = headline.in_words
    for name in ("percent", "span", "points", "points_span", "usd", "minutes", "plain", "label", "title"):
        environment.filters[name if name != "title" else "arm"] = getattr(words, name)
    return environment
