"""heldout.json as one frozen model, and the lines of heldout.jsonl (docs/reference/run.md)."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from finetune import runs
from finetune.errors import BadInput
from finetune.likelihood import Measured
from finetune.nearness import STUDENT
from finetune.reporting.reading import read_objects
from finetune.reporting.report import Count, Difference, Gap, Interval, Overlap, Part, read_json

MEASURED = TypeAdapter(Measured)


class Rows(Part):
    """How many of the teacher's answers were measured."""

    measured: Count
    left_out: Mapping[str, Count] = {}  # by reason
    with_lists: Count
    with_teacher: Count


class Mean(Part):
    """Of one measure over prompts."""

    n: Count
    mean: float
    interval: Interval | None = None


class Apart(Difference):
    """What `arm` has more than `than` of one measure."""

    measure: str
    n: Count


class Heldout(Part):
    """The whole file, as far as it is shown."""

    rows: Rows
    models: Mapping[str, Mapping[str, Mean | None]]
    differences: tuple[Apart, ...]
    gap_closed: Gap
    overlap: Overlap


def read_heldout(folder: Path) -> Heldout | None:
    """What a run's heldout.json says; None where it has none.

    Raises:
        BadInput: it is damaged.
    """
    path = folder / runs.HELDOUT
    if not path.exists():
        return None
    mend = _again(folder)
    try:
        return make_heldout(read_json(path, mend))
    except ValidationError as error:
        raise BadInput(f"{path}: {_first(error)}; {mend}") from error


def read_measured(folder: Path, count: int) -> tuple[Measured, ...]:
    """The lines of a run's heldout.jsonl.

    Args:
        folder: the run's.
        count: how many heldout.json says there are.

    Raises:
        BadInput: it is missing or damaged.
    """
    path, mend = folder / runs.HELDOUT_ROWS, _again(folder)
    if not path.exists():
        raise BadInput(f"{path}: missing; {mend}")
    found = tuple(_measured(path, mend))
    if len({row.row_id for row in found}) != count:
        raise BadInput(f"{path}: has not the {count} answers that {runs.HELDOUT} tells of; {mend}")
    return found


def _measured(path: Path, mend: str) -> Iterator[Measured]:
    for number, line in enumerate(read_objects(path, mend), start=1):
        try:
            row = MEASURED.validate_python(line)
        except ValidationError as error:
            raise BadInput(f"{path}: line {number}: {_first(error)}; {mend}") from error
        student = row.models.get(STUDENT)
        if student is None or student.without_end().tokens == 0:
            raise BadInput(f"{path}: line {number}: models.{STUDENT}: missing or without a token; {mend}")
        yield row


def _again(folder: Path) -> str:
    return f"run `finetune evaluate {folder}` again"


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or '(all)'}: {first['msg']}"


def make_heldout(found: Any) -> Heldout:
    """The model of what heldout.json holds.

    Raises:
        ValidationError: it is something else.
    """
    return Heldout.model_validate(found)
