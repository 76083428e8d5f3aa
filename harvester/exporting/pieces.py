"""Some seeds' stored rows → a piece of the dataset: its rows as Arrow batches, and what was counted on the way."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from harvester.exporting import preference
from harvester.exporting.batches import Batch
from harvester.exporting.columns import Columns
from harvester.exporting.deciding import banned, counted, decided, left_out
from harvester.exporting.lineages import Ended, Lineage, is_waiting, lineages
from harvester.exporting.schema import SCHEMA
from harvester.judging import Rules
from harvester.recipe import Recipe
from harvester.store import StoredRow
from harvester.store.packing import Packing
from harvester.store.stored import BODY, POSITION, RAW, PackedRow, legible, stored_row
from harvester.verdicts import Verdict

if TYPE_CHECKING:
    from harvester.exporting.dataset import Exported

DATA = "data"
SCHEMAS = {DATA: SCHEMA, preference.NAME: preference.PAIRS}
BLOCK_ROWS = 1000
BLOCK_BYTES = 4 << 20  # as the store holds them, compressed
BATCH_TOKENS = 2_000
"""With logprobs: some kilobytes of Python's objects each, before they are Arrow's."""

Block = list[PackedRow]
"""The rows of whole seeds."""


def blocks(rows: Iterable[PackedRow]) -> Iterator[Block]:
    """Rows in blocks of whole seeds; where one ends depends on nothing but the rows."""
    block: list[PackedRow] = []
    size = 0
    for row in rows:
        if (len(block) >= BLOCK_ROWS or size >= BLOCK_BYTES) and row[POSITION] != block[-1][POSITION]:
            yield block
            block, size = [], 0
        block.append(row)
        size += len(row[BODY]) + len(row[RAW] or b"")
    if block:
        yield block


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be made of blocks."""

    recipe: Recipe
    store: Path  # for messages
    people: Mapping[str, Verdict]  # the last word about rows, by row_id
    blank: "Exported"  # what is asked for, with nothing counted yet
    with_pairs: bool  # the config `preference` too
    packing: Packing  # the store's


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of the dataset, in its order within each config and split, and the counts of all that was looked at."""

    batches: list[tuple[str, str, pa.RecordBatch]]  # config, split, rows
    counts: "Exported"


class Maker:
    """Makes pieces of one dataset."""

    def __init__(self, task: Task) -> None:
        """Compile the recipe's templates and rules.

        Raises:
            BadInput: the student's template is wrong.
        """
        self._task = task
        self._columns = Columns(task.recipe)
        self._rules = Rules(task.recipe)

    def piece(self, block: Block) -> Piece:
        """What a block comes to.

        Raises:
            BadInput: the student's template cannot be rendered with a row.
            StoreUnusable: a row is damaged.
        """
        rows = self._unpacked(block)
        counts, batches = self._task.blank.blank(), _Batches()
        found = lineages(self._task.recipe, rows, self._rules, explained=self._is_explained)
        settled = _settled(found, self._task.people, counts)
        for _, of_seed in groupby(settled, key=lambda lineage: lineage.row.position):
            self._add(of_seed, batches, counts)
        return Piece(batches.all(), counts)

    def _unpacked(self, block: Block) -> Iterator[StoredRow]:
        with legible(self._task.store):  # one row at a time: unpacked, a thousand are more than a core's cache holds
            yield from (stored_row(row, self._task.packing) for row in block)

    def _is_explained(self, row: StoredRow) -> bool:
        """Whether an answer is written even if the rules reject it."""
        return row.split == "test" or self._task.blank.wanted.unfiltered or row.row_id in self._task.people

    def _add(self, of_seed: Iterable[Lineage], batches: "_Batches", counts: "Exported") -> None:
        compared = []
        for lineage in of_seed:
            verdict = self._task.people.get(lineage.row.row_id)
            ban = banned(lineage, verdict)
            counts.count(lineage)
            if not counts.admits(lineage):
                continue
            if not ban and (verdict or not lineage.row.curated):
                compared.append(lineage)
            if reason := left_out(lineage, ban, unfiltered=counts.wanted.unfiltered):
                counts.dropped[reason] += 1
            else:
                counts.keep(lineage)
                batches.add(DATA, lineage.row.split, self._columns.values(lineage))
        if self._task.with_pairs:
            for split, values in preference.pairs(compared, self._columns):
                counts.pairs[split] += 1
                batches.add(preference.NAME, split, values)


class _Batches:
    """Rows on their way into Arrow, by config and split."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], Batch] = {}
        self._tokens: Counter[tuple[str, str]] = Counter()
        self._made: list[tuple[str, str, pa.RecordBatch]] = []

    def add(self, config: str, split: str, values: dict[str, Any]) -> None:
        key = config, split
        if key not in self._waiting:
            self._waiting[key] = Batch(SCHEMAS[config])
        self._waiting[key].add(values)
        if logprobs := values.get("logprobs"):
            self._tokens[key] += len(logprobs)
            if self._tokens[key] >= BATCH_TOKENS:
                self._make(*key)

    def _make(self, config: str, split: str) -> None:
        self._made.append((config, split, self._waiting.pop((config, split)).made()))
        self._tokens[config, split] = 0

    def all(self) -> list[tuple[str, str, pa.RecordBatch]]:
        for key in list(self._waiting):
            self._make(*key)
        return self._made


def _settled(found: Iterable[Lineage | Ended], people: Mapping[str, Verdict], counts: "Exported") -> Iterator[Lineage]:
    """The answers about which nothing is open any more, as they are decided; the next run asks for the others."""
    for one in found:
        if isinstance(one, Ended):
            if one.row.split != "test":
                counts.dropped[counted(one.reason)] += 1
            continue
        lineage = decided(one, people.get(one.row.row_id))
        if lineage.waits or (lineage.row.split != "test" and is_waiting(lineage.outcome)):
            counts.waiting += 1
        else:
            yield lineage
