"""Which charts a report has; what is not recorded has none."""

from collections.abc import Iterator, Sequence
from statistics import quantiles

from finetune.reporting.plots import Chart, Range, Series, bars, lines, ranges
from finetune.reporting.reading import Run
from finetune.reporting.report import ORDER, AnswerTokens, Score
from finetune.reporting.scales import finite
from finetune.reporting.words import minutes, percent, plain, title

NAMES = SCORES, CURVES, LENGTHS, TIME = ("Scores", "Loss while training", "Lengths", "Time")
SPENDING = "Spending while collecting"
"""Drawn where anything was spent."""
_LOW, _LOWER, _MIDDLE, _UPPER, _HIGH = 0, 5, 10, 15, 20
"""Places of the minimum, quartiles and maximum among quantiles 5 % apart."""
_MOST_DEV_MARKS = 60
_NEUTRAL = len(ORDER)


def colour(arm: str) -> int:
    """An arm's colour and mark: the same in every chart."""
    return ORDER.index(arm) if arm in ORDER else _NEUTRAL


def loss(run: Run) -> Chart | None:
    """Loss on train and dev by step."""
    series = list(loss_series(run))
    if not series:
        return None
    count = sum(1 for line in run.metrics if "loss" in line or "dev_loss" in line)
    missing = count - sum(len(line.points) for line in series)
    note = f"{missing} values were not finite and are left out." if missing else ""
    return lines("chart-loss", CURVES, ("optimiser step", loss_axis([run])), series, note)


def loss_axis(found: Sequence[Run]) -> str:
    """What the loss of some runs is counted in: of pairs of answers it is another."""
    units = {"pair" if run.config.get("loss.kind") == "dpo" else "supervised token" for run in found}
    return f"loss, nats per {' or '.join(sorted(units))}"


def loss_series(run: Run) -> Iterator[Series]:
    """The finite points of each of a run's loss curves that has any."""
    for key, name, style in (("loss", "train", colour("student")), ("dev_loss", "dev", colour("teacher"))):
        found = finite([(line.get("step"), line.get(key)) for line in run.metrics if key in line])
        if found:
            yield Series(name, found, style, marks=key == "dev_loss" and len(found) <= _MOST_DEV_MARKS)


def scores(run: Run) -> Chart | None:
    """Each arm's score with its interval."""
    rows = [score_row(title(arm), colour(arm), found) for arm, found in run.report.arms.items()]
    axis = "held-out prompts answered right, % (with 95 % interval)"
    return ranges("chart-scores", SCORES, axis, rows, ends=(0, 100)) if rows else None


def score_row(name: str, place: int, found: Score) -> Range:
    """A score and its interval in percent."""
    low, high = found.interval or (None, None)
    text = percent(found.score)
    if low is not None and high is not None:
        text += f" ({100 * low:.1f} to {100 * high:.1f})"
    ends = (None if low is None else 100 * low, None if high is None else 100 * high)
    return Range(name, 100 * found.score, *ends, text, place)


def lengths(run: Run) -> Chart | None:
    """Tokens of the rows that were learnt from, and of each arm's answers."""
    rows = [
        Range(
            f"Training rows: {name}",
            found[_MIDDLE],
            found[_LOW],
            found[_HIGH],
            f"median {found[_MIDDLE]:,}, {found[_LOW]:,} to {found[_HIGH]:,}",
            _NEUTRAL,
            (found[_LOWER], found[_UPPER]),
        )
        for name, found in run.facts.lengths.items()
        if len(found) == _HIGH + 1
    ]
    for arm in run.report.arms:
        found = answer_tokens(run, arm)
        if found is not None and found.median is not None:
            text = f"median {plain(found.median)}" + ("" if found.p95 is None else f", 95 % under {plain(found.p95)}")
            rows.append(Range(f"Answers: {title(arm)}", found.median, found.median, found.p95, text, colour(arm)))
    return ranges("chart-lengths", LENGTHS, "tokens", rows) if rows else None


def answer_tokens(run: Run, arm: str) -> AnswerTokens | None:
    """How long an arm's answers are: as reported, else from the answers themselves."""
    if (found := run.report.arms[arm].answer_tokens) is not None:
        return found
    counts = [answer.tokens for case in run.cases for answer in case.answers.get(arm, ()) if answer.tokens is not None]
    if len(counts) < 2:  # noqa: PLR2004 - quantiles need two
        return None
    cuts = quantiles(counts, n=20, method="inclusive")
    return AnswerTokens(median=cuts[9], p95=cuts[18])


def time(run: Run) -> Chart | None:
    """Minutes of each part of the road."""
    rows = [(name.capitalize(), value, minutes(value)) for name, value in run.report.minutes.items()]
    return bars("chart-time", TIME, "minutes", rows) if rows else None


def spending(run: Run) -> Chart | None:
    """USD paid for the dataset's rows, by the minutes since the first answer."""
    found = finite(run.report.data.spend) if run.report.data else []
    if not found or not found[-1][1]:
        return None
    curve = Series("rows in the dataset", found, colour("teacher"))
    return lines("chart-spending", SPENDING, ("minutes since the first answer", "USD"), [curve], "")


def charts(run: Run) -> Sequence[Chart]:
    """All that there is."""
    return [chart for draw in (scores, loss, lengths, time, spending) if (chart := draw(run)) is not None]
