"""`harvester.json`: how a dataset was made and what binds whoever trains on it (docs/design/005-dataset.md)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from finetune.errors import BadInput
from harvester.records import Json

NOTES = "harvester.json"


class _Notes(BaseModel):
    model_config = ConfigDict(frozen=True)  # keys that this version does not know are left alone


class StudentNotes(_Notes):
    """What the recipe says about the student."""

    instruction: str | None = None


class TeacherNotes(_Notes):
    """Who was asked."""

    name: str = "teacher"
    model: str
    base_url: str
    license: str | None = None  # as the user declared it


class TermsNotes(_Notes):
    """What binds one teacher's answers, as it stood when they were given; a registry's facts, not legal advice."""

    teacher: str = "teacher"
    id: str
    verdict: str  # allowed | conditions | unknown | forbidden-competing | forbidden
    as_of: str | None = None
    source: str | None = None
    obligations: tuple[str, ...] = ()
    name_prefix: str | None = None  # how a student's name begins
    show: tuple[str, ...] = ()  # words that a student's card shows as they stand
    pass_on: tuple[str, ...] = ()  # texts to hand along with a student, and where they are
    basis: str | None = None  # the user's own claim, where the verdict alone would refuse
    accepted_by: str | None = None  # who answers for the claim


class OverallNotes(_Notes):
    """What binds whoever uses the whole dataset."""

    verdict: str | None = None  # the strictest of `terms`; None where nobody answered


class SeedsNotes(_Notes):
    """One file of seeds."""

    split: str
    path: str
    license: str | None = None


class HarvestNotes(_Notes):
    """The whole file. What datasets of older versions do not say is None or empty here; {} says that there is none."""

    format: Literal[1]
    harvester: str | None = None  # its version
    recipe: str
    teacher: TeacherNotes | None = None
    teachers: tuple[TeacherNotes, ...] = ()  # all that were asked, judges too
    terms: tuple[TermsNotes, ...] | None = None
    overall: OverallNotes | None = None
    only_terms: str | None = None  # the strictest verdict that a row could have
    seeds: tuple[SeedsNotes, ...] = ()
    student: StudentNotes = StudentNotes()
    verify: Mapping[str, Json] = {}
    picked: bool = True  # a check, a judge or a vote decided which answers became rows
    unfiltered: bool = False  # rejected answers are in train too
    rows: Mapping[str, int] = {}  # by split
    asked: int | None = None  # rows of train and dev that have their answer, or failed for good
    accepted: int | None = None  # of them
    dropped: Mapping[str, int] | None = None  # reason → rows left out of train and dev
    usd: float
    collect_minutes: float


def read_notes(dataset: Path) -> HarvestNotes:
    """The notes in a dataset's folder.

    Raises:
        BadInput: the file is missing or breaks the contract.
    """
    path = dataset / NOTES
    try:
        return HarvestNotes.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}; name a folder that `harvester export` wrote") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 text; export the dataset again") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "(all)"
        raise BadInput(f"{path}: {field}: {first['msg']}; export the dataset again") from error
