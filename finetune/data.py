"""Open a dataset that `harvester export` wrote and check it against the contract (docs/design/005-dataset.md)."""

import hashlib
import json
import logging
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from finetune.errors import BadInput
from finetune.notes import HarvestNotes, read_notes
from harvester.records import Json

Message = dict[str, str]

_STRING = pa.string()
_TOP = pa.struct([("bytes", pa.list_(pa.binary())), ("logprob", pa.list_(pa.float32()))])
_TERM = pa.struct([(name, _STRING) for name in ("teacher", "id", "verdict", "as_of", "basis", "accepted_by")])
_CHECK = pa.struct([("name", _STRING), ("params", _STRING), ("passed", pa.bool_()), ("reason", _STRING)])

CONTRACT = pa.schema(
    [
        ("messages", pa.list_(pa.struct([("role", _STRING), ("content", _STRING)]))),
        ("tools", _STRING),
        ("reasoning", _STRING),
        ("logprobs", pa.list_(pa.struct([("bytes", pa.binary()), ("logprob", pa.float32()), ("top", _TOP)]))),
        ("sampling", _STRING),
        ("row_id", _STRING),
        ("request_key", _STRING),
        ("seed_id", _STRING),
        ("seed", _STRING),
        ("sample", pa.int32()),
        ("step", _STRING),
        ("recipe", _STRING),
        ("teacher", _STRING),
        ("model", _STRING),
        ("provider", _STRING),
        ("terms", pa.list_(_TERM)),
        ("finish_reason", _STRING),
        ("prompt_tokens", pa.int32()),
        ("completion_tokens", pa.int32()),
        ("cost_usd", pa.float64()),
        ("score", pa.float64()),
        ("checks", pa.list_(_CHECK)),
        ("accepted", pa.bool_()),
        ("drop_reason", _STRING),
        ("reference", _STRING),
        ("collected_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""The columns of every split. Extra columns are let through: they harm nothing here."""


Said = list[dict[str, Any]]
"""A row's `logprobs`: each token's `bytes` and `logprob`, and `top`: the same of those listed beside it, as lists."""


@dataclass(frozen=True, slots=True)
class Row:
    """One teacher answer to one seed, as the student sees it."""

    row_id: str
    seed_id: str
    sample: int
    prompt: tuple[Message, ...]
    answer: str
    finish_reason: str | None
    tools: Json  # None, or what the chat template takes as `tools`
    reference: Json  # None outside the test split
    completion_tokens: int | None = None  # as the teacher's API counted
    sampling: Json = None  # the parameters as sent, with `provider`, which says what the others would be
    provider: str | None = None
    stored_logprobs: Any = None  # an Arrow value: as Python's objects those of a dataset would fill the memory

    @property
    def logprobs(self) -> Said | None:
        """What the API said of each token, the answer's end included where it told; None where it said nothing."""
        found: Said | None = None if self.stored_logprobs is None else self.stored_logprobs.as_py()
        return found


@dataclass(frozen=True, slots=True)
class Dataset:
    """An opened dataset folder; splits without seeds are absent."""

    path: Path
    notes: HarvestNotes
    splits: dict[str, list[Row]]
    sha256: str  # of the files' bytes: tells whether a run was made from this very dataset

    def split(self, name: str) -> list[Row]:
        """The rows of one split.

        Raises:
            BadInput: the dataset has no such split.
        """
        if name not in self.splits:
            raise BadInput(f"{self.path}: no split {name!r} (found: {', '.join(self.splits) or 'none'})")
        return self.splits[name]


def open_dataset(path: Path) -> Dataset:
    """Open and check a dataset folder; no network is used.

    Raises:
        BadInput: not a dataset folder, or a column, type or row breaks the contract.
    """
    notes = read_notes(path)
    sha256 = fingerprint(path)
    # A cache of its own: the shared one is keyed by the folder's name and card, not by what its files hold.
    for file in _files(path):
        check_columns(file, CONTRACT)
    with tempfile.TemporaryDirectory() as cache:
        tables = _load(path, cache)
        splits = {str(split): _rows(f"{path}: split {split}", table) for split, table in tables.items()}
    return Dataset(path=path, notes=notes, splits=splits, sha256=sha256)


def fingerprint(path: Path) -> str:
    """Hex digest of the bytes of a dataset's files, its pairs' too.

    Raises:
        BadInput: there are none, or one cannot be read.
    """
    digest = hashlib.sha256()
    for file in (*_files(path), *pair_files(path)):
        name = file.name if file.parent.name == "data" else file.relative_to(path)
        try:
            with file.open("rb") as stream:
                digest.update(f"{name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
        except OSError as error:
            raise BadInput(f"{file}: {error.strerror}; export the dataset again") from error
    return digest.hexdigest()


def _files(path: Path) -> list[Path]:
    files = sorted(path.glob("data/*.parquet"))
    if not files:
        raise BadInput(f"{path}: no data/*.parquet in it; name a folder that `harvester export` wrote")
    return files


def pair_files(path: Path) -> list[Path]:
    """The files of a dataset's config `preference`; none where it was exported without it."""
    return sorted(path.glob("preference/*.parquet"))


def _load(path: Path, cache: str) -> Any:
    bars, loudness = datasets.is_progress_bar_enabled(), datasets.logging.get_verbosity()
    of_cards = logging.getLogger("huggingface_hub.repocard")
    level = of_cards.level
    of_cards.setLevel(logging.CRITICAL)
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what is wrong is said below, once
    try:
        return datasets.load_dataset(str(path), cache_dir=cache)
    except (ValueError, TypeError, pa.ArrowException, datasets.exceptions.DatasetsError, yaml.YAMLError) as error:
        # The loader wraps the reason; the innermost error is the one that names it.
        raise BadInput(f"{path}: cannot be loaded ({_one_line(_innermost(error))}); export it again") from error
    finally:
        datasets.logging.set_verbosity(loudness)
        of_cards.setLevel(level)
        if bars:
            datasets.enable_progress_bars()


def check_columns(file: Path, contract: pa.Schema) -> None:
    """Sees that one file has the columns that it should; the loader fills those that another split has.

    Raises:
        BadInput: it has not, or cannot be read.
    """
    try:
        found, where = datasets.Features.from_arrow_schema(pq.read_schema(file)), str(file)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise BadInput(f"{file}: cannot be loaded ({_one_line(error)}); export the dataset again") from error
    for name, wanted in datasets.Features.from_arrow_schema(contract).items():
        if name not in found:
            raise BadInput(f"{where}: column {name!r} is missing; export it with `harvester export`")
        if found[name] != wanted:
            raise BadInput(f"{where}: column {name!r} has type {found[name]}, the contract says {wanted}")


def _rows(where: str, table: Any) -> list[Row]:
    wanted = ["row_id", "seed_id", "sample", "messages", "finish_reason", "tools", "reference", "completion_tokens"]
    wanted += ["sampling", "provider"]
    # Mapped from a file that is gone by then, which the system keeps until nobody looks at it any more.
    logprobs = table.data.column("logprobs")
    lines = enumerate(table.select_columns(wanted))
    return [_row(where, line, logprobs[number]) for number, line in lines]


def _row(where: str, line: dict[str, Any], logprobs: Any) -> Row:
    where = f"{where}: row {line['row_id']}"
    for name in ("row_id", "seed_id", "sample"):
        if line[name] is None:
            raise BadInput(f"{where}: column {name!r} is null; export the dataset again")
    messages = line["messages"] or []
    if len(messages) < 2 or messages[-1]["role"] != "assistant":  # noqa: PLR2004 - a question and its answer
        raise BadInput(f"{where}: column 'messages' must end with an assistant's message after at least one other")
    if any(message["role"] is None or message["content"] is None for message in messages):
        raise BadInput(f"{where}: column 'messages' has a message without role or content")
    return Row(
        row_id=line["row_id"],
        seed_id=line["seed_id"],
        sample=line["sample"],
        prompt=tuple(messages[:-1]),
        answer=messages[-1]["content"],
        finish_reason=line["finish_reason"],
        tools=_json(where, "tools", line["tools"]),
        reference=_json(where, "reference", line["reference"]),
        completion_tokens=line["completion_tokens"],
        sampling=_json(where, "sampling", line["sampling"]),
        provider=line["provider"],
        stored_logprobs=logprobs if logprobs.is_valid else None,
    )


def _json(where: str, column: str, text: str | None) -> Json:
    try:
        found = None if text is None else json.loads(text)
        # What cannot be written again, NaN or half a character, is no JSON either.
        json.dumps(found, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: column {column!r} is not JSON ({error})") from error
    return found


def _innermost(error: BaseException) -> BaseException:
    while (cause := error.__cause__) is not None:
        error = cause
    return error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def say(line: str) -> None:
    """One line of talk, by one process: stdout belongs to the result."""
    if os.environ.get("RANK", "0") != "0":
        return
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - talk
