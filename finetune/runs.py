"""A run's folder: run.json says what the run is made of and how far it is.

RUN/config.json, run.json, harvester.json (the dataset's), metrics.jsonl, checkpoints/, adapter/ (peft) or weights/,
answers/, report.json, report.html, or heldout.json where answers cannot be scored.
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
from finetune.errors import BadInput

CONFIG, FACTS, METRICS, REPORT = "config.json", "run.json", "metrics.jsonl", "report.json"
CHECKPOINTS, ANSWERS = "checkpoints", "answers"
HELDOUT, HELDOUT_ROWS = "heldout.json", "heldout.jsonl"
"""How near base and student are to the teacher's answers, where these cannot be scored: all of them, and each."""
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
    base_sha256: str | None = None  # of the base model, as `identity.digest` tells; None in runs of before it was noted
    rows: Mapping[str, int] = {}  # of each split, that can be learnt from
    seen: Mapping[str, int] = {}  # learnt from in all steps, as often as it was: rows, supervised and total tokens
    dropped: Mapping[str, int] = {}  # rows of train left out, by reason
    scored_by: Mapping[str, str] = {}  # the teacher of what the student sampled: `model`, `url`; {} where none did
    soft: Mapping[str, Any] = {}  # of train: rows with the teacher's probabilities, positions, R; {} where none has any
    cut: Mapping[str, int] = {}  # rows learnt without their answer's end, and the tokens they lost
    longest_answer: int = 0  # tokens, end-of-turn included; bounds generation when evaluating
    tokens: Mapping[str, int] = {}  # of the rows of train, each once: supervised, total
    lengths: Mapping[str, list[int]] = {}  # of prompt and answer, in tokens: their 0 %, 5 % … 100 % quantiles
    steps: int = 0
    ended_by: Literal["epochs", "max_steps", "max_minutes", "patience"] = "epochs"
    best_step: int | None = None  # the one whose weights were kept, where `patience` was given
    packed: bool = False
    device: str = ""
    dtype: str = ""  # of the weights
    processes: int = 1
    train_loss: float | None = None  # nats per supervised token, or per pair, mean over the last step
    dev_loss: float | None = None
    rewards: Mapping[str, float] = {}  # of pairs: accuracy and margin as the losses' means; {} in runs on rows
    sampled: Mapping[str, float] = {}  # the last step's `metrics.SAMPLED`; {} where the student sampled nothing
    dev_loss_before: float | None = None  # of the base, before the first step
    train_minutes: float = 0.0  # loading included

    @property
    def got_worse(self) -> bool:
        """Whether the student does worse on the dev split than the base did."""
        return self.dev_loss is not None and self.dev_loss_before is not None and self.dev_loss > self.dev_loss_before


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
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: damaged: not UTF-8 text; train into another folder") from error
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
        for path in (*new.rglob("*"), new):
            to_disk(path)
        if target.exists():
            target.rename(old)
        try:
            new.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
        to_disk(target.parent)
        shutil.rmtree(old, ignore_errors=True)


def write_facts(folder: Path, facts: Facts) -> None:
    """Writes run.json."""
    write_text(folder / FACTS, facts.model_dump_json(indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a file that is there in full or not at all, after a power cut too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    scratch = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        scratch.chmod(0o644)
        to_disk(scratch)
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    to_disk(path.parent)


@contextmanager
def alone_in(folder: Path, *, where: str, mend: str, busy: str) -> Iterator[None]:
    """Makes a folder, and keeps it from every other process that asks for it in this way.

    Args:
        folder: what is locked.
        where: how messages name it.
        mend: what to do where it cannot be made.
        busy: the line where another process has it.

    Raises:
        BadInput: one of both.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # On the folder itself: it dies with the process and leaves no file behind.
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise BadInput(f"{where}: cannot be made ({error.strerror}); {mend}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BadInput(busy) from error
        yield
    finally:
        os.close(handle)


def to_disk(path: Path) -> None:
    """Waits until a file's content, or a folder's list of names, is on the disk.

    A rename may be there before what it names: after a power cut the file would be empty.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """A JSON Lines file; a last line that a kill cut short is left out."""
    texts = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(text) for text in texts[:-1]]


def dump_lines(lines: list[dict[str, Any]]) -> str:
    """JSON Lines text."""
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
