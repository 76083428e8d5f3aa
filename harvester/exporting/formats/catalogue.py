"""Every format by its name: which rows it takes, as what records, in which files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harvester.errors import BadInput
from harvester.exporting.formats.files import Csv, JsonLines
from harvester.exporting.formats.records import Record, Row, axolotl, openai, preference, prompt_completion
from harvester.exporting.formats.sidecars import Files, axolotl_kd_yaml, axolotl_yaml, dataset_info
from harvester.exporting.formats.soft_labels import SoftLabels
from harvester.exporting.formats.table import FEATURES, PLAIN, cells
from harvester.exporting.formats.turns import alpaca, ranking, sharegpt
from harvester.verify.names import did_you_mean

OWN = "messages"
"""The layout that holds everything; the others are made from it."""
ROWS, PAIRS = "data", "preference"
"""The parquet folders that a format is made from."""
PAIR = ("prompt", "chosen", "rejected", "row_id_chosen", "row_id_rejected")


@dataclass(frozen=True, slots=True)
class Config:
    """Files of one kind of record, a file for each split."""

    record: Callable[[Row], Record]
    columns: tuple[str, ...]  # those that `record` reads
    source: str = ROWS
    prefix: str = ""  # of the files' names


@dataclass(frozen=True, slots=True)
class Format:
    """A layout of files; the config `default` is what a reader gets who names none."""

    configs: Mapping[str, Config]
    writer: type[JsonLines | Csv] = JsonLines
    beside: Callable[[str, Files], dict[str, str]] | None = None  # (dataset's name, its files) → further files
    features: tuple[Mapping[str, Any], ...] = ()  # for the card, where `datasets` would guess types from the values


def _chats(record: Callable[[Row], Record], *more: str) -> dict[str, Config]:
    return {"default": Config(record, ("messages", "row_id", *more))}


FORMATS: Mapping[str, Format] = {
    "prompt-completion": Format(_chats(prompt_completion)),
    "preference": Format({"default": Config(preference, PAIR, PAIRS)}),
    "alpaca": Format(_chats(alpaca)),
    "sharegpt": Format(_chats(sharegpt)),
    "openai": Format(_chats(openai)),
    "axolotl": Format(_chats(axolotl, "reasoning"), beside=axolotl_yaml),
    "llama-factory": Format(
        {**_chats(sharegpt), "preference": Config(ranking, PAIR, PAIRS, "preference-")}, beside=dataset_info
    ),
    "csv": Format({"default": Config(cells, ("messages", *PLAIN))}, writer=Csv, features=FEATURES),
}
SOFT = "axolotl-kd"
"""The one format that needs to know the student's tokens."""
NAMES = (OWN, *FORMATS, SOFT)
SIDECARS = ("axolotl.yaml", "dataset_info.json")


def named(name: str, tokenizer: Path | None) -> Format | None:
    """A format by its name; None for the dataset's own layout.

    Raises:
        BadInput: no such format; a tokenizer is missing, not readable, or of no use to the format.
    """
    if name not in NAMES:
        raise BadInput(
            f"--format {name[:80]}: no such format{did_you_mean(name, NAMES)} (there are {', '.join(NAMES)})"
        )
    if tokenizer is not None and name != SOFT:
        raise BadInput(f"--tokenizer: the format {name} needs none; leave it out")
    if name != SOFT:
        return FORMATS.get(name)
    if tokenizer is None:
        raise BadInput(f"--format {SOFT}: needs the student's tokens; add --tokenizer and the student's folder")
    return Format(_chats(SoftLabels.read(tokenizer).record, "logprobs"), beside=axolotl_kd_yaml)


def uses_pairs(name: str, *, asked_for: bool) -> bool:
    """Whether a format holds pairs of answers; `asked_for` says that the recipe wants them where there is room."""
    return name == PAIRS or (asked_for and name in (OWN, "llama-factory"))
