"""A run's student leaves the house: a plain model folder with its card, whole or not at all."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError

from finetune import identity, licences, runs
from finetune.card import Student, card
from finetune.config import RunConfig
from finetune.data import fingerprint, say
from finetune.embedded import quiet_bars
from finetune.errors import BadInput
from finetune.merging import merge
from finetune.notes import NOTES, HarvestNotes, read_notes
from finetune.reporting.heldout import read_heldout
from finetune.reporting.report import read_report
from finetune.student import dtype_name

STAMP = "finetune.json"
"""What makes a folder an export of ours; it lists every other file."""
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    path: Path
    name: str
    dtype: str
    bytes: int


def export(run: str | Path, out: str | Path, *, name: str | None = None, dataset: str | Path | None = None) -> Exported:
    """Merges a run's student into its base and writes it as a Hugging Face model folder with a model card.

    Args:
        run: a finished run's folder.
        out: the folder to write; what was exported there before is replaced in one step.
        name: the student's; the name of `out` by default.
        dataset: where the dataset that the run was trained on lies now, if it was moved.

    Raises:
        BadInput: the run is not finished or cannot be loaded, or `out` cannot be written.
        RefusedByTerms: the terms of a teacher or of the base model are in the way.
    """
    folder, out = Path(run), Path(out)
    facts, config = runs.read_finished(folder)
    identity.require_unchanged(folder, facts.base_sha256, config.model)
    _require_free(out, folder)
    notes, base = _notes(folder, facts, dataset), licences.base_model(config.model)
    title = out.resolve().name if name is None else name
    licences.require_right(notes.terms or ())
    licences.require(
        [*(notes.terms or ()), *([base.terms] if base.terms else [])], title, field="OUT" if name is None else "--name"
    )
    if notes.terms is None:
        say(f"{folder}: its dataset does not say what binds the student; export it again with `harvester export`")
    report = read_report(folder) if (folder / runs.REPORT).exists() else None
    heldout = read_heldout(folder)
    with _new_folder(out) as new, quiet_bars():
        say(f"{folder}: merging")
        merged = merge(folder, config)
        merged.model.save_pretrained(new)
        merged.tokenizer.save_pretrained(new)
        dtype = dtype_name(merged.model.dtype)
        student = Student(title, config, facts, notes, base, dtype, report, runs.versions(), heldout)
        (new / "README.md").write_text(card(student), encoding="utf-8")
        _stamp(new, title, config, facts)
    return Exported(out, title, dtype, sum(path.stat().st_size for path in out.iterdir()))


def _require_free(out: Path, run: Path) -> None:
    try:
        if out.resolve().is_relative_to(run.resolve()):
            raise BadInput(f"{out}: is the run's own folder or in it; name a folder beside {run}")
        if not out.exists():
            return
        found = {path.name for path in out.iterdir()} if out.is_dir() else {out.name}
        stamp = json.loads((out / STAMP).read_text(encoding="utf-8")) if STAMP in found and out.is_dir() else None
        ours = {STAMP, *stamp["files"]} if stamp else set()
    except OSError as error:
        raise BadInput(f"{str(out)[:100]}: {error.strerror}; name another folder") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput(f"{str(out)[:100]!r}: cannot be used ({error}); name another folder") from error
    if found and not ours:
        raise BadInput(f"{out}: exists and is not a model that was exported before; name another folder")
    if foreign := found - ours:
        raise BadInput(f"{out}: holds {', '.join(sorted(foreign))}, which an export would delete; move it away")


def _notes(folder: Path, facts: runs.Facts, dataset: str | Path | None) -> HarvestNotes:
    """The dataset's notes: the run's own copy where it keeps one, else those beside the data."""
    if dataset is None and (folder / NOTES).exists():
        return read_notes(folder)
    path = Path(dataset or facts.dataset)
    mend = "give --dataset with the one that the run was trained on; its terms bind the student"
    if not path.is_dir():
        raise BadInput(f"{path}: the run's dataset is not there; {mend}")
    notes = read_notes(path)
    if fingerprint(path) != facts.dataset_sha256:
        raise BadInput(f"{path}: is not the dataset that the run was trained on, or changed since; {mend}")
    return notes


def _stamp(folder: Path, name: str, config: RunConfig, facts: runs.Facts) -> None:
    files = sorted(path.name for path in folder.iterdir())
    stamp = {
        "format": FORMAT,
        "name": name,
        "method": config.method,
        "config_sha256": facts.config_sha256,
        "dataset_sha256": facts.dataset_sha256,
        "files": files,
    }
    (folder / STAMP).write_text(json.dumps(stamp, indent=2) + "\n", encoding="utf-8")


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder to fill; once it is whole it takes the place of `out`, which is whole or absent at every instant."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with runs.new_folder(out) as new:
            yield new
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{out}: cannot be written ({getattr(error, 'strerror', None) or error})") from error
