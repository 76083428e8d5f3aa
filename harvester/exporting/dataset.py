"""The dataset's folder: parquet shards in hub layout, the card, and harvester.json; whole or not at all."""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from harvester.collecting import default_store, newest_plan
from harvester.errors import BadInput, RefusedByTerms
from harvester.exporting import preference
from harvester.exporting.card import write_card
from harvester.exporting.classes import Classes
from harvester.exporting.formats import Format, named, uses_pairs
from harvester.exporting.layout import FILES, lay_out
from harvester.exporting.lineages import Lineage
from harvester.exporting.manifest import MANIFEST, write_manifest
from harvester.exporting.origins import seed_files
from harvester.exporting.pieces import Piece, Task, blocks
from harvester.exporting.placing import replacing
from harvester.exporting.shards import SplitWriter
from harvester.exporting.staleness import staleness
from harvester.exporting.wanted import TERMS, Wanted
from harvester.exporting.workers import how_many, pieces
from harvester.recipe import Recipe
from harvester.records import Json
from harvester.store import StoreReader
from harvester.store.curations import Curation
from harvester.store.stored import StoredReply
from harvester.terms import with_rules
from harvester.verdicts import Verdict, said

OURS = {MANIFEST, "README.md", "data", preference.NAME, *FILES}


@dataclass(slots=True)
class Exported:
    """What an export wrote and left out."""

    path: Path
    wanted: Wanted
    files: dict[str, dict[str, str]] = field(default_factory=dict)  # config → split → its file, or a pattern of them
    rows: Counter[str] = field(default_factory=Counter)  # by split
    pairs: Counter[str] = field(default_factory=Counter)  # by split, of the config `preference`
    asked: int = 0  # rows of train and dev that have their answer, or failed for good
    accepted: int = 0  # of them
    dropped: Counter[str] = field(default_factory=Counter)  # reason → rows left out; of test for their terms only
    waiting: int = 0  # rows that have no answer yet
    cost_nusd: int = 0  # of the whole store
    collect_minutes: float = 0.0
    curation: Curation | None = None  # the recipe's newest
    newer: int = 0  # rows of train and dev that are written, and that it did not look at
    people: Collection[Verdict] = ()  # what was said of rows
    stale: tuple[str, ...] = ()  # why it should be done again, in words
    classes: Classes = field(default_factory=Classes)  # of the rows of train
    sha256: str = ""  # over the parquet files
    # By teacher, id, verdict, as_of and basis: a registry's entry changes from one day to another.
    terms: dict[tuple[str | None, ...], dict[str, Any]] = field(default_factory=dict)
    _noted: tuple[str, Mapping[str, Json]] | None = None  # whose terms, and which, were noted last

    def count(self, lineage: Lineage) -> None:
        """Count a settled row."""
        if lineage.row.split != "test":
            self.asked += 1
            self.accepted += lineage.outcome.accepted

    def keep(self, lineage: Lineage) -> None:
        """Count a row that is written."""
        self.rows[lineage.row.split] += 1
        if self.curation and lineage.row.split != "test":
            self.newer += not lineage.row.looked_at
        if lineage.row.split == "train":
            self.classes.add(lineage.row.seed, lineage.answer.text if lineage.answer else "")

    def admits(self, lineage: Lineage) -> bool:
        """Whether a row is asked for; what binds it is noted, or that it was left out is counted."""
        if reason := self.wanted.against(lineage):
            self.dropped[reason] += 1
            return False
        for reply in lineage.replies:
            self._note(reply)
        return True

    def _note(self, reply: StoredReply) -> None:
        if self._noted and self._noted[0] == reply.teacher and self._noted[1] is reply.terms:  # as most replies'
            return
        self._noted = reply.teacher, reply.terms
        key = (reply.teacher, *(reply.terms.get(name) for name in ("id", "verdict", "as_of", "basis")))
        if key not in self.terms:
            self.terms[key] = {"teacher": reply.teacher, **with_rules(reply.terms)}

    def blank(self) -> "Exported":
        """The same export, with nothing counted yet."""
        return Exported(self.path, self.wanted, curation=self.curation)

    def add(self, part: "Exported") -> None:
        """Count what was counted of some more of its rows."""
        for mine, its in ((self.rows, part.rows), (self.pairs, part.pairs), (self.dropped, part.dropped)):
            mine.update(its)
        self.asked += part.asked
        self.accepted += part.accepted
        self.waiting += part.waiting
        self.newer += part.newer
        self.classes.add_all(part.classes)
        for key, terms in part.terms.items():
            self.terms.setdefault(key, terms)


def export(
    recipe: Recipe,
    out: Path,
    *,
    store: Path | None = None,
    unfiltered: bool = False,
    only_terms: str | None = None,
    since: datetime | None = None,
    min_score: float | None = None,
    format: str | None = None,  # noqa: A002 - the name that the recipe and the command line have for it
    tokenizer: Path | None = None,
    max_length: int | None = None,
) -> Exported:
    """Write what is collected so far as a dataset that `datasets.load_dataset(out)` opens.

    Args:
        recipe: whose rows; the rules it states now decide what is accepted.
        out: the folder to write; a dataset that was exported there before is replaced in one step.
        store: the database file; beside the recipe by default.
        unfiltered: write rejected answers into train too.
        only_terms: leave out, of every split, what a teacher with a stricter verdict had a hand in; a basis that the
            user stated changes no verdict.
        since: leave out, of every split, what was answered before.
        min_score: leave out, of train and dev, what the judge scored lower, or not at all.
        format: a layout for another trainer (`formats.NAMES`); the recipe's by default.
        tokenizer: the student's folder, or the tokenizer.json in it; for `axolotl-kd` and `distillkit` only.
        max_length: leave out, of every split, rows of more tokens; for `distillkit` only, 2048 by default.

    Raises:
        BadInput: `out` is something else than a dataset, the student's template is wrong, `only_terms` no verdict,
            `min_score` about scores that nobody gives, `format` no format, a tokenizer is missing, `tokenizer` or
            `max_length` of no use to the format, or there are no pairs for the format `preference`.
        RefusedByTerms: `only_terms` leaves no row.
        StoreUnusable: no store, or nothing in it for this recipe.
    """
    path = store or default_store(recipe)
    wanted = Wanted(unfiltered, only_terms, since, min_score, format or recipe.export.format)
    wanted.require_possible(recipe)
    form = named(wanted.format, tokenizer, max_length)
    _require_replaceable(out)
    with StoreReader.open(path) as reader:
        plan_id = newest_plan(reader, recipe, path)
        counts = reader.counts(plan_id)
        exported, people = Exported(out, wanted), said(path)
        exported.cost_nusd, exported.collect_minutes = counts.spent_nusd, counts.minutes
        exported.curation, exported.people = reader.curation(recipe.name), people.values()
        with_pairs = uses_pairs(wanted.format, asked_for=recipe.export.preference)
        task = Task(recipe, path, people, exported.blank(), with_pairs, reader.packing)
        workers = how_many(sum(counts.rows.values()))
        try:
            with replacing(out) as folder:
                with contextlib.closing(reader.packed_rows(plan_id)) as rows:
                    made = pieces(task, blocks(rows), workers=workers)
                    _write(recipe, made, folder, exported, form)
                _require_replaceable(out)  # still
        except OSError as error:
            raise BadInput(f"{out}: cannot be written: {error.strerror or error}") from error
    return exported


def _require_replaceable(out: Path) -> None:
    if not out.exists():
        return
    found = {path.name for path in out.iterdir()} if out.is_dir() else {out.name}
    if found and MANIFEST not in found:
        raise BadInput(f"{out}: exists and is not a dataset of Harvester's; name another folder")
    if foreign := found - OURS:
        raise BadInput(f"{out}: holds {', '.join(sorted(foreign))}, which an export would delete; move it away")


def _write(
    recipe: Recipe,
    made: Iterable[Piece],
    folder: Path,
    exported: Exported,
    form: Format | None,
) -> None:
    writers = _Writers(folder)
    for piece in made:
        exported.add(piece.counts)
        for config, split, batch in piece.batches:
            writers.add(config, split, batch)
    writers.close()
    _require_some(exported)
    if exported.curation:
        exported.stale = tuple(staleness(recipe, exported.curation, exported.newer, exported.people))
    exported.sha256 = _digest(folder)
    lay_out(recipe, folder, exported, form)
    seeds = seed_files(recipe)
    write_manifest(recipe, folder, exported, seeds)
    write_card(recipe, folder, exported, seeds)


def _require_some(exported: Exported) -> None:
    left_out = ", ".join(f"{n} {reason}" for reason, n in sorted(exported.dropped.items()) if reason.startswith(TERMS))
    if left_out and not exported.rows.total():
        raise RefusedByTerms(
            f"{exported.path}: every row was left out for its terms ({left_out}), so nothing is written; ask a teacher"
            " whose terms are more permissive, or name a stricter verdict (--only-terms)"
        )


class _Writers:
    """The dataset's parquet files, by config and split."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "data").mkdir(parents=True)
        self._by_name: dict[tuple[str, str], SplitWriter] = {}

    def add(self, config: str, split: str, batch: pa.RecordBatch) -> None:
        if (config, split) not in self._by_name:
            (self._folder / config).mkdir(exist_ok=True)
            self._by_name[config, split] = SplitWriter(self._folder / config, split, batch.schema)
        self._by_name[config, split].add(batch)

    def close(self) -> None:
        for writer in self._by_name.values():
            writer.close()


def _digest(folder: Path) -> str:
    files = hashlib.sha256()
    for path in sorted(folder.rglob("*.parquet")):
        with path.open("rb") as file:
            files.update(hashlib.file_digest(file, "sha256").digest())
    return files.hexdigest()
