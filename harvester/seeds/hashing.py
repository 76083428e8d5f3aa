"""What seeds are read from → a digest."""

import hashlib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from harvester.errors import BadInput
from harvester.records import Json
from harvester.seeds.finding import HUB, Source
from harvester.seeds_spec import Seeds

NOT_SEEDS = {"path", "license"}
"""What a recipe says of seeds without changing them: the files' own digests stand for the path."""


def sources_digest(sources: Sequence[Source], spec: Seeds, folder: Path) -> Json:
    """Digests of every file, in their order, with the options that the seeds depend on.

    Raises:
        BadInput: a file cannot be read, or the hub cannot be asked.
    """
    options = spec.model_dump(mode="json", exclude=NOT_SEEDS, exclude_defaults=True)
    if spec.chunk is not None and spec.chunk.tokenizer is not None:
        options["tokenizer"] = _sha256(folder / spec.chunk.tokenizer)
    return [[_of(source, spec) for source in sources], options]


def _of(source: Source, spec: Seeds) -> Json:
    if source.kind == HUB and not source.files:
        return [source.name, import_module("harvester.seeds.hub").fingerprint(source, spec)]
    digests = [_sha256(path) for path in source.files]
    if source.document:  # its name is a field of the seeds
        return [source.kind, source.name, *digests]
    return [source.kind, *digests]


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
