"""Which model a name stands for: where its files are, and a digest that tells whether they are still the same."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune import hub
from finetune.config import EMBEDDED
from finetune.errors import BadInput
from harvester.teachers.weights import SHA256

INDEX, WHOLE = "model.safetensors.index.json", "model.safetensors"
SMALL_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
)
"""What else decides what a model computes: its shape, its tokens, its template."""
BLOCK_BYTES, BLOCKS = 64 * 1024, 64


@dataclass(frozen=True, slots=True)
class Place:
    """Where transformers finds a model."""

    source: str  # a folder or a hub id
    commit: str | None = None  # of a hub id
    cache_only: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """For `from_pretrained`."""
        return {"revision": self.commit, "local_files_only": self.cache_only} if self.commit else {}


def locate(model: str, field: str = "--model") -> Place:
    """Where the files of a local folder or a hub id are.

    A hub id stands for the commit in the local cache where there is one, so that a base stays the same from training to
    export though the hub moves on; `hf download` fetches a newer one.

    Args:
        model: a local folder or a hub id; not `embedded`.
        field: what the name was given as, for messages.

    Raises:
        BadInput: it is neither, or cannot be had.
    """
    path = Path(model)
    if path.is_dir():
        _refuse_run(path, f"{field} {model}")
        return Place(model)
    _require_hub_id(model, field)
    folder = hub.cached(model)
    if folder is None:
        return Place(model, _commit(model, field))
    try:
        hub.ask(model, folder.name)
    except hub.NoAnswer as error:
        if not _all_there(folder):
            raise BadInput(_neither(model, field, str(error))) from error
        return Place(model, folder.name, cache_only=True)
    return Place(model, folder.name)


def digest(model: str) -> str:
    """Tells one model from another, cheaply; moving or copying a folder does not change it.

    Args:
        model: `embedded`, a local folder or a hub id.

    Returns:
        The SHA-256 of the embedded weights, or of a folder's files as `_folder_digest` reads them; of a hub id the
        commit in the local cache.

    Raises:
        BadInput: there is no such model, or it cannot be read.
    """
    if model == EMBEDDED:
        return SHA256
    path = Path(model)
    if path.is_dir():
        _refuse_run(path, f"--model {model}")
        return _folder_digest(path)
    _require_hub_id(model, "--model")
    return _commit(model, "--model")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that transformers loads from a folder, by name; none where there are none.

    Raises:
        BadInput: the index of a model in several files cannot be read.
    """
    if (folder / WHOLE).exists():
        return [folder / WHOLE]
    if not (folder / INDEX).exists():
        return []
    try:
        names = set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{folder / INDEX}: not an index of weights ({error}); copy the model again") from error
    return [folder / name for name in sorted(map(str, names))]


def _folder_digest(folder: Path) -> str:
    """SHA-256 over the small files and, of each weights file, its name, size and a sample.

    A sample, 64 blocks of 64 KiB evenly spread: training changes nearly every byte of nearly every tensor, and reading
    the 140 GB of a 70B base at every start would take minutes.
    """
    files = weight_files(folder)
    if not files:
        raise BadInput(f"--model {folder}: holds no {WHOLE}; name the folder of a transformers model")
    found = hashlib.sha256()
    try:
        for path in [folder / name for name in SMALL_FILES]:
            if path.exists():
                found.update(f"{path.name} {path.stat().st_size}\n".encode())
                found.update(path.read_bytes())
        for path in files:
            found.update(f"{path.name} {path.stat().st_size}\n".encode())
            _add_sample(found, path)
    except OSError as error:
        raise BadInput(f"--model {folder}: {Path(error.filename or folder).name}: {error.strerror}") from error
    return found.hexdigest()


def _add_sample(found: Any, path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= BLOCKS * BLOCK_BYTES:
            found.update(file.read())
            return
        for number in range(BLOCKS):
            file.seek(number * (size - BLOCK_BYTES) // (BLOCKS - 1))
            found.update(file.read(BLOCK_BYTES))


def _commit(model: str, field: str) -> str:
    try:
        return (hub.cached(model) or hub.fetch_config(model)).name
    except hub.NoAnswer as error:
        raise BadInput(_neither(model, field, str(error))) from error


def _all_there(folder: Path) -> bool:
    files = weight_files(folder)
    return bool(files) and all(path.exists() for path in files)


def _require_hub_id(model: str, field: str) -> None:
    if Path(model).exists():
        raise BadInput(f"{field} {model}: is a file; name the folder that holds it, with its config.json")
    if not hub.is_id(model):
        raise BadInput(_neither(model, field, "no such folder"))


def _refuse_run(folder: Path, given: str) -> None:
    """A run is made of a base and what was learnt; transformers would say that its config.json lacks a model_type."""
    if (folder / "run.json").exists():
        mend = f"run `finetune export {folder} OUT` first, then give OUT"
        raise BadInput(f"{given}: is a run, not a model; {mend}")
    if (folder / "adapter_config.json").exists() and not (folder / "config.json").exists():
        mend = "run `finetune export RUN OUT` with the run that it is in, then give OUT"
        raise BadInput(f"{given}: holds an adapter, not a whole model; {mend}")


def _neither(model: str, field: str, reason: str) -> str:
    return f"{field} {model}: neither a local folder nor a loadable hub id ({reason})"


def require_unchanged(run: Path, base_sha256: str | None, model: str) -> None:
    """Refuse a run whose base is another model now: its student is its adapter on the base that it learnt on.

    Args:
        run: its folder, for messages.
        base_sha256: the digest that its training noted; None where it noted none.
        model: the base's name.

    Raises:
        BadInput: it changed, or cannot be had.
    """
    if base_sha256 not in (None, digest(model)):
        raise BadInput(
            f"{run}: its base model {model} changed since the training; put the weights of then back, or train again"
        )
