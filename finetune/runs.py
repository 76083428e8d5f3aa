"""A run's folder: run.json says what the run is made of and how far it is.

RUN/config.json, run.json, harvester.json (the dataset's), metrics.jsonl, checkpoints/, adapter/ (peft) or weights/,
answers/, report.json, report.html.
"""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from finetune.config import RunConfig, read_config
from finetune.data import Dataset
from finetune.errors import BadInput
from finetune.notes import NOTES

CONFIG, FACTS, METRICS, REPORT = "config.json", "run.json", "metrics.jsonl", "report.json"
CHECKPOINTS, ANSWERS = "checkpoints", "answers"
PACKAGES = ("harvester", "torch", "transformers", "peft")
ADAPTER, WEIGHTS = "adapter", "weights"
"""Where the student is: peft's adapter, or a whole model where every weight was trained."""


class Facts(BaseModel):
    """run.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal[1] = 1
    status: Literal["unfinished", "trained"]
    config_sha256: str
    dataset: str  # its folder, absolute
    dataset_sha256: str
    recipe: str
    rows: Mapping[str, int] = {}  # learnt from, by split
    dropped: Mapping[str, int] = {}  # rows of train left out, by reason
    cut: Mapping[str, int] = {}  # rows learnt without their answer's end, and the tokens they lost
    longest_answer: int = 0  # tokens, end-of-turn included; bounds generation when evaluating
    tokens: Mapping[str, int] = {}  # of the rows learnt from: supervised, total
    lengths: Mapping[str, list[int]] = {}  # of prompt and answer, in tokens: their 0 %, 5 % … 100 % quantiles
    steps: int = 0
    ended_by: Literal["epochs", "max_steps", "max_minutes", "patience"] = "epochs"
    best_step: int | None = None  # the one whose weights were kept, where `patience` was given
    packed: bool = False
    device: str = ""
    dtype: str = ""  # of the weights
    processes: int = 1
    train_loss: float | None = None  # nats per supervised token, mean over the last step
    dev_loss: float | None = None
    train_minutes: float = 0.0


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Makes the folder and keeps every other process from training into it; an empty one does not stay.

    Raises:
        BadInput: it cannot be made, or another process trains into it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # On the folder itself: it dies with the process and leaves no file behind.
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise BadInput(f"--out {folder}: cannot be made ({error.strerror})") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise BadInput(f"--out {folder}: another process trains into it; wait for it or give another --out") from error
    try:
        yield
    finally:
        os.close(handle)
        if not any(folder.iterdir()):
            folder.rmdir()


def begin(folder: Path, config: RunConfig, dataset: Dataset) -> Facts:
    """The facts of a new run, or of the run in this folder if it is the same one.

    Raises:
        BadInput: the folder holds something else.
    """
    fresh = Facts(
        status="unfinished",
        config_sha256=config.sha256(),
        dataset=str(dataset.path.resolve()),
        dataset_sha256=dataset.sha256,
        recipe=dataset.notes.recipe,
    )
    if not (folder / FACTS).exists():
        if not _is_ours(folder):
            raise BadInput(f"--out {folder}: exists and is not a run; name another folder")
        _copy_notes(dataset, folder)
        # The facts last: they make it a run.
        write_text(folder / CONFIG, config.model_dump_json(indent=2) + "\n")
        write_facts(folder, fresh)
        return fresh
    facts = read_facts(folder)
    if facts.status == "unfinished" and not (folder / CHECKPOINTS).exists():
        # Nothing was learnt yet, so nothing is lost: a command that failed does not claim the folder.
        _copy_notes(dataset, folder)
        write_text(folder / CONFIG, config.model_dump_json(indent=2) + "\n")
        write_facts(folder, fresh)
        return fresh
    if facts.dataset_sha256 != fresh.dataset_sha256:
        raise BadInput(f"--out {folder}: holds a run on another dataset ({facts.dataset}); give another --out")
    if facts.config_sha256 != fresh.config_sha256:
        raise BadInput(f"--out {folder}: holds a run with {_difference(folder, config)}; give another --out")
    return facts


def _is_ours(folder: Path) -> bool:
    """Empty, or what is left of a run that was killed in its first moment."""
    names = [path.name.lstrip(".") for path in folder.iterdir()] if folder.is_dir() else ["not a folder"]
    return all(name.startswith((CONFIG, FACTS, NOTES)) for name in names)


def _copy_notes(dataset: Dataset, folder: Path) -> None:
    """What binds the student stays with it, wherever the dataset goes."""
    write_text(folder / NOTES, (dataset.path / NOTES).read_text(encoding="utf-8"))


def _difference(folder: Path, config: RunConfig) -> str:
    """The first setting in which a run differs from what is asked now."""
    found, asked = read_config(folder / CONFIG).model_dump(), config.model_dump()
    for noun, value in found.items():
        for name, before in value.items() if isinstance(value, dict) else [("", value)]:
            now = asked[noun][name] if name else asked[noun]
            if before != now:
                return f"{f'{noun}.{name}'.rstrip('.')} {before} (now {now})"
    return "another configuration"


def read_facts(folder: Path) -> Facts:
    """run.json.

    Raises:
        BadInput: the folder is not a run.
    """
    path = folder / FACTS
    try:
        return Facts.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}; name a folder that `finetune train --out` wrote") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(
            f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}; train into another folder"
        ) from error


def read_finished(folder: Path) -> tuple[Facts, RunConfig]:
    """run.json and config.json of a run that has its student.

    Raises:
        BadInput: the folder is not a run, or its training is not finished.
    """
    facts = read_facts(folder)
    if facts.status != "trained":
        raise BadInput(f"{folder}: training is not finished; run the same `finetune train` command again first")
    return facts, read_config(folder / CONFIG)


def versions() -> dict[str, str]:
    """Of the packages that decide what a run computes."""
    return {package: version(package) for package in PACKAGES}


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to fill; once it is whole it takes the place of `target`, which is whole or absent at every instant.

    Raises:
        OSError: it cannot be written; what was there before is there again.
    """
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        new, old = Path(scratch) / "new", Path(scratch) / "old"
        new.mkdir()
        yield new
        for path in new.iterdir():
            if path.is_file():
                path.chmod(0o644)  # safetensors makes its files for their owner alone
        if target.exists():
            target.rename(old)
        try:
            new.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)


def write_facts(folder: Path, facts: Facts) -> None:
    """Writes run.json."""
    write_text(folder / FACTS, facts.model_dump_json(indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a file that is there in full or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(scratch).chmod(0o644)
    Path(scratch).replace(path)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """A JSON Lines file; a last line that a kill cut short is left out."""
    texts = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(text) for text in texts[:-1]]


def dump_lines(lines: list[dict[str, Any]]) -> str:
    """JSON Lines text."""
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
