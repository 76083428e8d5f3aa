"""A run's folder is claimed: by one process at a time, for one dataset, configuration and base model."""

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from finetune import runs
from finetune.config import RunConfig, read_config
from finetune.data import Dataset
from finetune.errors import BadInput
from finetune.notes import NOTES
from finetune.runs import Facts

_WHAT_TRAINING_WRITES = (runs.CONFIG, runs.FACTS, runs.METRICS, NOTES, runs.ADAPTER, runs.WEIGHTS)
LEFTOVER = re.compile(rf"\.({'|'.join(map(re.escape, _WHAT_TRAINING_WRITES))})-[a-z0-9_]{{8}}")
"""A name that `runs.write_text` or `runs.new_folder` gives to what is not whole yet."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Makes the folder and keeps every other process from training into it; what it made does not stay empty.

    Raises:
        BadInput: it cannot be made, or another process trains into it.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    busy = f"--out {folder}: another process trains into it; wait for it or give another --out"
    with runs.alone_in(folder, where=f"--out {folder}", mend="name another folder", busy=busy):
        try:
            yield
        finally:
            with suppress(OSError):  # one that is not empty
                for path in made:
                    path.rmdir()


def inspect(folder: Path, config: RunConfig, dataset: Dataset) -> Facts:
    """The facts of a new run, or of the run in this folder if it is the same one. Changes nothing.

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
    if not (folder / runs.FACTS).exists():
        if not _is_ours(folder):
            raise BadInput(f"--out {folder}: exists and is not a run; name another folder")
        return fresh
    facts = runs.read_facts(folder)
    if facts.status == "unfinished" and not (folder / runs.CHECKPOINTS).exists():
        # Nothing was learnt yet, so nothing is lost: a command that failed does not claim the folder.
        return fresh
    if facts.dataset_sha256 != fresh.dataset_sha256:
        raise BadInput(f"--out {folder}: holds a run on another dataset ({facts.dataset}); give another --out")
    # An older version wrote fewer settings; those that it did not know have their defaults.
    if facts.config_sha256 != fresh.config_sha256 and read_config(folder / runs.CONFIG) != config:
        raise BadInput(f"--out {folder}: holds a run with {_difference(folder, config)}; give another --out")
    return facts


def claim(  # noqa: PLR0917 - what a run is made of
    folder: Path, facts: Facts, config: RunConfig, dataset: Dataset, base_sha256: str, scored_by: Mapping[str, str]
) -> Facts:
    """Writes what makes the folder this run, and takes away what a killed one left half written.

    Args:
        folder: the run's, held by this process.
        facts: as `inspect` found them.
        config: the run's.
        dataset: the run's.
        base_sha256: of the base model that was loaded.
        scored_by: the teacher of what the student samples; where its server is may change.

    Returns:
        The facts, with the base model's digest and the teacher.

    Raises:
        BadInput: the run was begun on other weights, or with another teacher.
    """
    if facts.base_sha256 not in (None, base_sha256):
        raise BadInput(
            f"--out {folder}: holds a run on other weights of {config.model}: they changed since it was begun; "
            "put those of then back, or give another --out"
        )
    if facts.base_sha256 is not None and facts.scored_by.get("model") != scored_by.get("model"):
        raise BadInput(
            f"--out {folder}: holds a run that {facts.scored_by.get('model')} scored (now {scored_by.get('model')});"
            " give that --teacher-model, or another --out"
        )
    for path in folder.iterdir():
        if LEFTOVER.fullmatch(path.name):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    if facts.base_sha256 is not None:
        return facts
    facts = facts.model_copy(update={"base_sha256": base_sha256, "scored_by": scored_by})
    # What binds the student stays with it, wherever the dataset goes.
    runs.write_text(folder / NOTES, (dataset.path / NOTES).read_text(encoding="utf-8"))
    # The facts last: they make it a run.
    runs.write_text(folder / runs.CONFIG, config.model_dump_json(indent=2) + "\n")
    runs.write_facts(folder, facts)
    return facts


def _is_ours(folder: Path) -> bool:
    """Empty, or what is left of a run that was killed in its first moment."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else ["not a folder"]
    return all(name in (runs.CONFIG, NOTES) or LEFTOVER.fullmatch(name) for name in names)


def _difference(folder: Path, config: RunConfig) -> str:
    """The first setting in which a run differs from what is asked now."""
    found, asked = read_config(folder / runs.CONFIG).model_dump(), config.model_dump()
    for noun, value in found.items():
        for name, before in value.items() if isinstance(value, dict) else [("", value)]:
            now = asked[noun][name] if name else asked[noun]
            if before != now:
                return f"{f'{noun}.{name}'.rstrip('.')} {before} (now {now})"
    return "another configuration"
