"""What is different between two exports: rows added, dropped and changed, and as far as it is known why."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harvester.collecting import default_store
from harvester.errors import BadInput
from harvester.exporting.manifest import MANIFEST
from harvester.exporting.missing import reasons_now
from harvester.exporting.wanted import Wanted
from harvester.recipe import Recipe
from harvester.records import Json

BATCH_ROWS = 500
DIGEST_BYTES = 16  # of a row
MARK_BYTES = 8  # of a value
SHOWN = 10  # rows of each kind
MOST_TEXT = 60  # characters of a value that are shown
SPLIT = "split"
"""Counts among the columns: a row may have moved to another split."""


@dataclass(slots=True)
class Difference:
    """Of two datasets, an older and a newer one."""

    rows: tuple[int, int]
    added: dict[str, int]  # by split
    dropped: dict[str, int]
    changed: int = 0
    columns: dict[str, int] = field(default_factory=dict)  # column → rows that differ in it
    reasons: dict[str, int] = field(default_factory=dict)  # why rows are dropped, where the recipe was asked
    left_out: dict[str, tuple[int, int]] = field(
        default_factory=dict
    )  # reason → rows left out for it, where they differ
    shown: dict[str, list[dict[str, Json]]] = field(default_factory=dict)  # added, dropped, changed → the first rows

    @property
    def same(self) -> bool:
        """Whether the datasets hold the same rows."""
        return not (self.added or self.dropped or self.changed)


def diff(old: Path, new: Path, *, recipe: Recipe | None = None, store: Path | None = None) -> Difference:
    """Compare two datasets by `row_id`; of each row only a digest is kept in memory.

    Args:
        old: a folder that `export` wrote, in the layout `messages`.
        new: another.
        recipe: tells why rows were dropped, by the rules that it states and what people say of them now, and by what
            the newer export was asked for.
        store: the recipe's database file; beside it by default.

    Raises:
        BadInput: a folder is no dataset, or one in another layout.
        StoreUnusable: `recipe` has no store.
    """
    notes = _notes(old), _notes(new)
    rows, added, dropped, differ = _matched(old, new)
    reasons = {}
    if recipe and dropped:
        wanted = Wanted.stated(notes[1], where=new / MANIFEST)
        reasons = reasons_now(recipe, store or default_store(recipe), set(dropped), wanted)
    columns, changes = _changes(old, new, differ)
    return Difference(
        rows=rows,
        added=_by_split(added),
        dropped=_by_split(dropped),
        changed=len(differ),
        columns=dict(columns.most_common()),
        reasons=dict(Counter(reasons.values()).most_common()),
        left_out=_left_out(*notes),
        shown={
            "added": [{"row_id": row, "split": split} for row, split in islice(added.items(), SHOWN)],
            "dropped": [
                {"row_id": row, "split": split, "reason": reasons.get(row)}
                for row, split in islice(dropped.items(), SHOWN)
            ],
            "changed": [{"row_id": row, "columns": changes[row]} for row in differ[:SHOWN]],
        },
    )


def _by_split(rows: Mapping[str, str]) -> dict[str, int]:
    return dict(sorted(Counter(rows.values()).items()))


def _left_out(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Reason → how many rows each of the two exports left out for it, where that differs."""
    before, after = old.get("dropped") or {}, new.get("dropped") or {}
    counts = {reason: (before.get(reason, 0), after.get(reason, 0)) for reason in sorted({*before, *after})}
    return {reason: count for reason, count in counts.items() if count[0] != count[1]}


def _notes(path: Path) -> dict[str, Json]:
    """What a dataset says of itself."""
    try:
        notes = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise BadInput(
            f"{path}: no dataset ({MANIFEST} is missing or unreadable); name a folder that `harvester export` wrote"
        ) from None
    if not isinstance(notes, dict) or notes.get("layout", "messages") != "messages":
        raise BadInput(f"{path}: its rows cannot be told apart in this layout; compare exports of `--format messages`")
    return notes


def _matched(old: Path, new: Path) -> tuple[tuple[int, int], dict[str, str], dict[str, str], list[str]]:
    """How many rows each has; row_id → split of those that came, and that went; row_ids of those that differ."""
    seen: dict[str, bytes] = {}  # what of the older one has no match yet; a row's split and digest are one value
    added: dict[str, str] = {}
    differ: list[str] = []
    for split, row in _rows(old):
        seen[row["row_id"]] = _digest(split, row)
    before, after = len(seen), 0
    for split, row in _rows(new):
        after += 1
        match = seen.pop(row["row_id"], None)
        if match is None:
            added[row["row_id"]] = split
        elif match != _digest(split, row):
            differ.append(row["row_id"])
    dropped = {row_id: value[DIGEST_BYTES:].decode() for row_id, value in seen.items()}
    return (before, after), added, dropped, differ


def _digest(split: str, row: Mapping[str, Any]) -> bytes:
    return hashlib.blake2b(_bytes(row), digest_size=DIGEST_BYTES).digest() + split.encode()


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(split, values by column) of every row."""
    for shard in sorted((path / "data").glob("*.parquet")):
        split = shard.name.split("-")[0]
        try:
            with pq.ParquetFile(shard) as file:
                if "row_id" not in file.schema_arrow.names:
                    raise BadInput(f"{shard}: no column row_id; export the dataset again")
                for batch in file.iter_batches(BATCH_ROWS):
                    for row in batch.to_pylist():
                        yield split, row
        except (OSError, pa.ArrowException) as error:
            said = str(error).splitlines()[0]
            raise BadInput(f"{shard}: cannot be read: {said}; export the dataset again") from None


def _bytes(value: Any) -> bytes:
    """Equal values have equal bytes."""
    return repr(value).encode("utf-8", "surrogatepass")


def _changes(old: Path, new: Path, differ: Sequence[str]) -> tuple[Counter[str], dict[str, dict[str, tuple[str, str]]]]:
    """Column → rows that differ in it; and of the first rows, column → where before and after part."""
    columns: Counter[str] = Counter()
    changes: dict[str, dict[str, tuple[str, str]]] = {}
    if not differ:
        return columns, changes
    wanted, shown = set(differ), set(differ[:SHOWN])
    marks, whole = _marks(old, wanted, shown)
    for split, row in _rows(new):
        row_id = row["row_id"]
        if row_id not in wanted:
            continue
        names, before = marks.pop(row_id)
        after = {SPLIT: split, **row}
        known = dict(zip(names, _parts(before), strict=True))
        changed = [name for name in {**known, **after} if name not in after or known.get(name) != _mark(after[name])]
        columns.update(changed)
        if row_id in shown:
            changes[row_id] = {name: _apart(whole[row_id].get(name), after.get(name)) for name in changed}
    return columns, changes


def _marks(
    path: Path, wanted: AbstractSet[str], shown: AbstractSet[str]
) -> tuple[dict[str, tuple[tuple[str, ...], bytes]], dict[str, dict[str, Any]]]:
    """row_id → (columns, a digest of each one after the other) of some rows; and all the values of fewer."""
    marks: dict[str, tuple[tuple[str, ...], bytes]] = {}
    whole: dict[str, dict[str, Any]] = {}
    names: tuple[str, ...] = ()
    for split, row in _rows(path):
        row_id = row["row_id"]
        if row_id not in wanted:
            continue
        values = {SPLIT: split, **row}
        if names != tuple(values):
            names = tuple(values)  # one for all rows of a file
        marks[row_id] = names, b"".join(map(_mark, values.values()))
        if row_id in shown:
            whole[row_id] = values
    return marks, whole


def _mark(value: Any) -> bytes:
    return hashlib.blake2b(_bytes(value), digest_size=MARK_BYTES).digest()


def _parts(marks: bytes) -> Iterator[bytes]:
    return (marks[at : at + MARK_BYTES] for at in range(0, len(marks), MARK_BYTES))


def _apart(before: Any, after: Any) -> tuple[str, str]:
    """Two values as short texts, from a little before the place where they part."""
    texts = _text(before), _text(after)
    common = next((place for place, (one, other) in enumerate(zip(*texts, strict=False)) if one != other), 0)
    begin = max(0, common - MOST_TEXT // 4) if common > MOST_TEXT // 2 else 0
    return _cut(texts[0], begin), _cut(texts[1], begin)


def _cut(text: str, begin: int) -> str:
    end = begin + MOST_TEXT
    return f"{'…' if begin else ''}{text[begin:end]}{'…' if len(text) > end else ''}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
