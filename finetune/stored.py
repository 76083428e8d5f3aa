"""Tensors and a few facts in a folder that is there in full or not at all, and is known to be undamaged."""

import hashlib
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from finetune.errors import BadInput
from finetune.mishaps import clear
from finetune.runs import to_disk

TENSORS, FACTS = "state.safetensors", "progress.json"
PARTIAL = re.compile(r"partial-[a-z0-9_]{8}")
"""A folder that is being written, or was when its process was killed."""


def write(target: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Writes a folder in place of the one that may be there.

    Raises:
        BadInput: the disk is full, or cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with clear(target):
        scratch = Path(tempfile.mkdtemp(prefix="partial-", dir=target.parent))
        try:
            safetensors.torch.save_file(tensors, scratch / TENSORS)
            text = json.dumps({**facts, "sha256": _sha256(scratch / TENSORS)})
            (scratch / FACTS).write_text(text, encoding="utf-8")
            # What it replaces goes once this one is there: a power cut must find one of them whole.
            for path in (scratch / TENSORS, scratch / FACTS, scratch):
                to_disk(path)
            if target.exists():  # the same step, done again after a kill
                shutil.rmtree(target)
            scratch.rename(target)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)  # on a full disk it is what fills it
            raise
        to_disk(target.parent)


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The facts and the tensors of a folder.

    Raises:
        BadInput: it is damaged.
    """
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        if _sha256(folder / TENSORS) != facts.pop("sha256"):
            raise BadInput("its SHA-256 is not the recorded one")  # noqa: TRY301 - one mend for every kind of damage
        return facts, safetensors.torch.load_file(folder / TENSORS)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError, BadInput) as error:
        raise damaged(folder, error) from error


def damaged(folder: Path, error: object) -> BadInput:
    """The one line for a folder that cannot be used, and why."""
    return BadInput(f"{folder}: damaged checkpoint ({error}); delete that folder to train from the start")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
