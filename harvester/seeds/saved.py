"""Datasets that `datasets` wrote with `save_to_disk`: Arrow files, which need no `datasets` to be read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from harvester.errors import BadInput
from harvester.paths import inside
from harvester.seeds.arrow_values import Values
from harvester.seeds.finding import Source, one_of
from harvester.seeds_spec import Seeds


def rows(source: Source, spec: Seeds) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row, fields) of every row of the split.

    Raises:
        BadInput: not such a dataset, a split that it lacks, or a column or value that JSON cannot hold.
    """
    if spec.config is not None:
        raise BadInput(f"{source}: a saved dataset has no configs; take config out")
    number = 1
    for path in _arrow_files(source.path, _split(source, spec)):
        try:
            with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as batches:
                values = Values(batches.schema, str(source))
                for batch in batches:
                    for row in values.rows(batch, number):
                        yield number, row
                        number += 1
        except (pa.ArrowException, OSError) as error:
            said = str(error).splitlines()[0]
            raise BadInput(f"{path}: cannot be read as Arrow: {said}; save the dataset anew") from None


def _split(source: Source, spec: Seeds) -> Path:
    """The folder of the split."""
    if source.path / "state.json" in source.files:
        if spec.split is not None:
            raise BadInput(f"{source}: is a dataset without splits; take split out")
        return source.path
    names = _json(source.path / "dataset_dict.json").get("splits", [])
    return source.path / one_of(names, spec.split, "split", str(source))


def _arrow_files(root: Path, folder: Path) -> list[Path]:
    state = folder / "state.json"
    try:
        names = [str(entry["filename"]) for entry in _json(state)["_data_files"]]
    except (KeyError, TypeError):
        names = []
    if not names:
        raise BadInput(f"{state}: names no data files; save the dataset anew")
    return [inside(root, str((folder / name).relative_to(root)), where=str(state)) for name in names]


def _json(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read as JSON: {error}; save the dataset anew") from None
    return read if isinstance(read, dict) else {}
