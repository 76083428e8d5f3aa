"""Every format by its name: which rows it takes, as what records, in which files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harvester.errors import BadInput
from harvester.exporting.formats import distillkit
from harvester.exporting.formats.axolotl_kd import AxolotlKd
from harvester.exporting.formats.distillkit import DistillKit
from harvester.exporting.formats.files import Csv, JsonLines, Writer
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
    writer: Callable[[Path], Writer] = JsonLines
    ending: str = ".jsonl"  # of the files' names, after the split
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
    "csv": Format({"default": Config(cells, ("messages", *PLAIN))}, writer=Csv, ending=".csv", features=FEATURES),
}
OF_TOKENS = AXOLOTL_KD, DISTILLKIT = "axolotl-kd", "distillkit"
"""The formats that need to know the student's tokens."""
NAMES = (OWN, *FORMATS, *OF_TOKENS)
SIDECARS = ("axolotl.yaml", "dataset_info.json", distillkit.CONFIG, distillkit.SPLITS)


def named(name: str, tokenizer: Path | None, max_length: int | None = None) -> Format | None:
    """A format by its name; None for the dataset's own layout.

    Raises:
        BadInput: no such format; a tokenizer is missing or not readable, or an option is of no use to the format.
    """
    if name not in NAMES:
        raise BadInput(
            f"--format {name[:80]}: no such format{did_you_mean(name, NAMES)} (there are {', '.join(NAMES)})"
        )
    if max_length is not None and name != DISTILLKIT:
        raise BadInput(f"--max-length: the format {name} has rows of any length; leave it out")
    if name not in OF_TOKENS:
        if tokenizer is not None:
            raise BadInput(f"--tokenizer: the format {name} needs none; leave it out")
        return FORMATS.get(name)
    if tokenizer is None:
        raise BadInput(f"--format {name}: needs the student's tokens; add --tokenizer and the student's folder")
    labels = SoftLabels.read(tokenizer)
    if name == AXOLOTL_KD:
        return Format(_chats(AxolotlKd(labels).record, "logprobs"), beside=axolotl_kd_yaml)
    made = DistillKit(labels, max_length or distillkit.MAX_LENGTH)
    return Format(_chats(made.record, "logprobs"), made.writer, distillkit.ENDING, made.beside)


def uses_pairs(name: str, *, asked_for: bool) -> bool:
    """Whether a format holds pairs of answers; `asked_for` says that the recipe wants them where there is room."""
    return name == PAIRS or (asked_for and name in (OWN, "llama-factory"))
