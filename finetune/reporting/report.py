"""report.json as one frozen model (docs/reference/run.md). Files of older versions lack some of it: that is None."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from finetune import runs
from finetune.errors import BadInput

ORDER = ("base", "base_instruction", "teacher", "student", "unfiltered")

Interval = tuple[float, float]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
"""Of an arm: its answers lie in a file of that name."""


class Part(BaseModel):
    """A part of what a run's JSON files say; what is not known here is let through."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Score(Part):
    """Share of prompts answered right."""

    n: Count
    score: Share
    interval: tuple[Share, Share] | None = None


class AnswerTokens(Part):
    """How long an arm's answers are."""

    median: float | None = None
    p95: float | None = None


class Arm(Score):
    """One answerer of the held-out prompts."""

    unfinished: int | None = None
    fields: Mapping[str, Score] = {}
    answer_tokens: AnswerTokens | None = None


class Difference(Part):
    """Score of `arm` minus score of `than`, paired by prompt."""

    arm: str
    than: str
    value: float
    interval: Interval | None = None
    refusal: str | None = None  # why there is no interval


class Gap(Part):
    """(student - base) / (teacher - base), or why it is not given."""

    value: float | None = None
    interval: Interval | None = None
    refusal: str | None = None


class Overlap(Part):
    """Held-out prompts that were trained on."""

    prompts: int
    of: int


class LearntFrom(Part):
    """What training reached of the train split."""

    rows: Count | None = None  # different ones
    of: Count | None = None  # rows of the split
    passes: float | None = None  # how often each was learnt from, on average
    supervised: Count | None = None  # tokens of answers, as often as they were learnt from
    total: Count | None = None  # with their prompts


class LeftOut(Part):
    """Rows that were not trained on, by reason; None where the dataset does not say."""

    harvest: Mapping[str, Count] | None = None
    training: Mapping[str, Count] | None = None


class Terms(Part):
    """What binds a teacher's answers."""

    teacher: str = "teacher"
    id: str
    verdict: str
    as_of: str | None = None
    source: str | None = None
    obligations: tuple[str, ...] = ()
    name_prefix: str | None = None
    show: tuple[str, ...] = ()
    pass_on: tuple[str, ...] = ()
    basis: str | None = None
    accepted_by: str | None = None


class Seeds(Part):
    """One file of seeds."""

    split: str
    path: str
    license: str | None = None


class Soft(Part):
    """The teacher's probabilities that were learnt from."""

    loss: str | None = None
    rows: Count | None = None  # that have any
    positions: Count | None = None  # tokens with a list
    rest: float | None = None  # R, what the listed tokens lack to 1, on average


class Data(Part):
    """What the dataset was."""

    recipe: str | None = None
    rows: Mapping[str, Count] = {}  # by split
    learnt_from: LearntFrom = LearntFrom()
    dev_rows: Count | None = None  # looked at in training, not learnt from
    asked: Count | None = None
    accepted: Count | None = None
    unfiltered: bool = False
    left_out: LeftOut = LeftOut()
    cut: Mapping[str, Count] = {}
    soft: Soft = Soft()
    models: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    terms: tuple[Terms, ...] | None = None
    seeds: tuple[Seeds, ...] = ()
    verify: tuple[str, ...] = ()
    spend: tuple[tuple[float, float], ...] = ()  # minutes since the first answer, USD so far
    completion_tokens: tuple[float, ...] = ()  # quantiles


class RunNotes(Part):
    """Which run the numbers are of, and whether training did it good."""

    steps: int | None = None
    dev_loss_before: float | None = None  # nats per supervised token, or per pair, of the base
    dev_loss: float | None = None


class DatasetNotes(Part):
    """Which dataset was evaluated on."""

    sha256: str | None = None


class Report(Part):
    """The whole file."""

    arms: Mapping[Name, Arm]
    differences: tuple[Difference, ...] | None = None
    gap_recovered: Gap | None = None
    overlap: Overlap | None = None
    usd: float | None = None
    minutes: Mapping[str, float] = {}
    cost: Mapping[str, Any] | None = None
    data: Data | None = None
    dataset: DatasetNotes = DatasetNotes()
    run: RunNotes = RunNotes()
    max_new_tokens: int | None = None
    versions: Mapping[str, str] = {}  # package → version


def make_report(found: Any) -> Report:
    """The model of what report.json holds, its arms in the order of all pages.

    Raises:
        ValidationError: it is no report.
    """
    report = Report.model_validate(found)
    names = [*ORDER, *sorted(report.arms.keys() - set(ORDER))]
    return report.model_copy(update={"arms": {name: report.arms[name] for name in names if name in report.arms}})


def read_report(folder: Path) -> Report:
    """The report of a run.

    Raises:
        BadInput: there is none, or it is damaged.
    """
    path = folder / runs.REPORT
    if not path.exists() and (folder / runs.HELDOUT).exists():
        raise BadInput(
            f"{folder}: its held-out rows have no `reference`, so no answers were scored; {runs.HELDOUT} says what was"
            " measured"
        )
    mend = f"run `finetune evaluate {folder}` {'again' if path.exists() else 'first'}"
    try:
        return make_report(read_json(path, mend))
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{path}: {'.'.join(map(str, first['loc'])) or '(all)'}: {first['msg']}; {mend}") from error


def read_json(path: Path, mend: str) -> Any:
    """A JSON file.

    Raises:
        BadInput: it cannot be read; `mend` says what to do.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}; {mend}") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not JSON ({error}); {mend}") from error
