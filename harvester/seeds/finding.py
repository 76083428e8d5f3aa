"""What a recipe names as its seeds → the files that are there."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from harvester.errors import BadInput
from harvester.paths import inside
from harvester.seeds_spec import Seeds

TABLES = {".jsonl": "json_lines", ".csv": "delimited", ".tsv": "delimited", ".parquet": "parquet"}
DOCUMENTS = {".txt": "plain", ".md": "plain", ".html": "web", ".htm": "web", ".pdf": "pdf"}
"""Suffix → the module of this package that reads such files."""
KINDS = TABLES | DOCUMENTS
DATASET_FILES = frozenset({*TABLES, ".arrow", ".json"})
SAVED, HUB = "saved", "hub"
UNITS = {"json_lines": "line", "delimited": "line", "parquet": "row", SAVED: "row", HUB: "row"}

CARD = "README.md"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
FRONT_MATTER = re.compile(r"\A---\r?\n(.*?)^---\s*$", re.DOTALL | re.MULTILINE)
GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Source:
    """One file of seeds or one dataset; `files` are those that it is read from, none for a dataset on the hub."""

    name: str  # relative to the recipe's folder; for the hub its id
    path: Path
    kind: str  # the module that reads it
    files: tuple[Path, ...]

    @property
    def document(self) -> bool:
        """Whether it is cut into chunks."""
        return self.kind not in UNITS

    @property
    def unit(self) -> str:
        """What its seeds are counted in."""
        return UNITS.get(self.kind, "chunk")

    def __str__(self) -> str:
        return self.name if self.kind == HUB and not self.files else str(self.path)


def find(folder: Path, spec: Seeds, where: str) -> list[Source]:
    """Every source of seeds, in the order of the recipe; files of a folder or a glob by their names.

    Args:
        folder: the recipe's.
        spec: what it says of the seeds.
        where: its file and field, for messages.

    Raises:
        BadInput: nothing is there, it is outside the folder, of no known format, or an option does not fit it.
    """
    found: dict[Path, Source] = {}
    for name in spec.paths:
        for source in _named(folder, name, f"{where}.path"):
            found.setdefault(source.path, source)
    _require_fitting(list(found.values()), spec, where)
    return list(found.values())


def _require_fitting(found: list[Source], spec: Seeds, where: str) -> None:
    if spec.chunk is not None and not any(source.document for source in found):
        raise BadInput(f"{where}.chunk: documents are cut into chunks, {found[0].name} is none; take chunk out")
    for option in ("split", "config"):
        if getattr(spec, option) is not None and not any(source.kind in (SAVED, HUB) for source in found):
            raise BadInput(f"{where}.{option}: {found[0].name} is no dataset and has no {option}s; take it out")


def _named(folder: Path, name: str, where: str) -> Iterator[Source]:
    path = folder / name
    if _is_there(path.is_dir):
        yield from _below(folder, path, name, where)
    elif GLOB.search(name) and not _is_there(path.exists):
        yield from _matching(folder, name, where)
    elif HUB_ID.fullmatch(name) and path.suffix.lower() not in KINDS and not _is_there(path.parent.is_dir):
        yield Source(name, path, HUB, ())
    else:
        yield _file(folder, inside(folder, name, where=where))


def _is_there(look: Callable[[], bool]) -> bool:
    try:
        return look()
    except (OSError, ValueError, RuntimeError):  # no usable path: `inside` says what is wrong with it
        return False


def _file(folder: Path, path: Path) -> Source:
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise BadInput(f"{path}: {path.suffix or 'no suffix'} is no format of seeds; convert it to {' '.join(KINDS)}")
    return Source(Path(_relative(path, folder)).as_posix(), path, kind, (path,))


def _relative(path: Path, folder: Path) -> str:
    return os.path.relpath(path, folder)  # one of the two may be absolute


def _matching(folder: Path, pattern: str, where: str) -> Iterator[Source]:
    try:
        paths = sorted(path for path in folder.glob(pattern) if path.is_file() and not _hidden(path, folder))
    except (ValueError, NotImplementedError, OSError) as error:  # an absolute one, or ** inside a name
        raise BadInput(f"{where}: {pattern[:80]!r} is no pattern: {error}; see the globs of the docs") from None
    for path in paths:
        yield _file(folder, inside(folder, _relative(path, folder), where=where))
    if not paths:
        raise BadInput(f"{where}: there is no file that matches {pattern[:80]!r} in {folder}")


def _below(folder: Path, root: Path, name: str, where: str) -> Iterator[Source]:
    """The dataset that a folder is, or the documents below it."""
    if not root.resolve().is_relative_to(folder.resolve()):
        inside(folder, name, where=where)  # which refuses it
    if root.resolve() == folder.resolve():  # holds the recipe and what comes of it
        raise BadInput(f"{where}: there is no file {name}, which is the recipe's folder; name what is in it")
    files = tuple(inside(folder, _relative(path, folder), where=where) for path in sorted(_walk(root)))
    if {root / "state.json", root / "dataset_dict.json"} & set(files):
        yield Source(name, root, SAVED, files)
        return
    tables = [path for path in files if path.suffix.lower() in DATASET_FILES]
    documents = [path for path in files if path.suffix.lower() in DOCUMENTS]
    card = root / CARD
    if tables and (not set(documents) - {card} or (card in documents and _is_card(card))):
        yield Source(name, root, HUB, files)
    elif tables and documents:
        raise BadInput(
            f"{where}: {name} holds documents and tables ({tables[0].name}); name the ones that are meant by a glob,"
            f" such as {name.rstrip('/')}/**/*{documents[0].suffix}"
        )
    elif documents:
        yield from (_file(folder, path) for path in documents)
    else:
        raise BadInput(f"{where}: there is no file of seeds in {root}; known are {' '.join(KINDS)}")


def _walk(root: Path) -> Iterator[Path]:
    """Every file below a folder but hidden ones; links to folders are not followed."""
    for parent, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent) / name for name in names if not name.startswith("."))


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts if part != "..")


def _is_card(path: Path) -> bool:
    """Whether a README says what data its folder holds, as those of the hub do."""
    try:
        matter = FRONT_MATTER.match(path.read_text(encoding="utf-8-sig"))
        said = yaml.safe_load(matter[1]) if matter else None
    except (OSError, ValueError, yaml.YAMLError):
        return False
    return isinstance(said, dict) and bool({"configs", "dataset_info"} & said.keys())


def one_of(names: list[str], asked: str | None, option: str, where: str) -> str:
    """The split or config that is asked for, or the only one there is.

    Raises:
        BadInput: there is no such one, or several to choose from.
    """
    there_are = ", ".join(names) or "none"
    if asked is None and len(names) == 1:
        return names[0]
    if asked is None:
        raise BadInput(f"{where}: has several {option}s; choose by {option}: one of {there_are}")
    if asked not in names:
        raise BadInput(f"{where}: has no {option} {asked!r}; there are {there_are}")
    return asked
