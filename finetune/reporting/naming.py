"""What tells runs that are compared apart: their names, and the settings that differ."""

import json
from collections.abc import Iterator, Mapping, Sequence
from os.path import commonpath
from pathlib import Path
from typing import Any

from finetune import runs
from finetune.errors import BadInput
from finetune.reporting import words

Settings = Mapping[str, tuple[Any, ...]]
"""A value for each run, None where it has none."""


def names_of(folders: Sequence[Path]) -> list[str]:
    """Paths without what all have in common, and without an ending that all have in common.

    Raises:
        BadInput: fewer than two runs, or one of them twice.
    """
    resolved = [folder.resolve() for folder in folders]
    if len(set(resolved)) < max(len(resolved), 2):
        raise BadInput("compare: name at least two runs, each once")
    parent = Path(commonpath(resolved))
    names = [folder.relative_to(parent) for folder in resolved]
    while len({name.name for name in names}) == 1 and all(len(name.parts) > 1 for name in names):
        names = [name.parent for name in names]
    return [str(name) if str(name) != "." else parent.name for name in names]


def settings_apart(found: Sequence[tuple[runs.Facts, Mapping[str, Any]]]) -> Settings:
    """The settings that differ, and the dataset where that does.

    Args:
        found: run.json and the settings of each run, these by dotted name.
    """
    described = [{"dataset": facts.dataset_sha256[:12], **config} for facts, config in found]
    names = dict.fromkeys(name for settings in described for name in settings)
    rows = {name: tuple(settings.get(name) for settings in described) for name in names}
    return {name: values for name, values in rows.items() if len(set(map(json.dumps, values))) > 1}


def settings_lines(settings: Settings) -> Iterator[str]:
    """Each setting on a line, for a terminal."""
    for name, values in settings.items():
        yield f"{name}: {' | '.join(words.plain(value, words.NOT_SET) for value in values)}"
