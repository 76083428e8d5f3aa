"""heldout.json as one frozen model (docs/reference/run.md)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from finetune import runs
from finetune.errors import BadInput
from finetune.reporting.report import Count, Gap, Interval, Overlap, Part, read_json


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


class Apart(Part):
    """What `arm` has more than `than`, paired by prompt."""

    measure: str
    arm: str
    than: str
    n: Count
    value: float
    interval: Interval | None = None
    refusal: str | None = None  # why there is no interval


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
    mend = f"run `finetune evaluate {folder}` again"
    try:
        return make_heldout(read_json(path, mend))
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{path}: {'.'.join(map(str, first['loc'])) or '(all)'}: {first['msg']}; {mend}") from error


def make_heldout(found: Any) -> Heldout:
    """The model of what heldout.json holds.

    Raises:
        ValidationError: it is something else.
    """
    return Heldout.model_validate(found)
