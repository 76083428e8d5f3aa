"""The run of a curation: every filter over every answer, then one commit."""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from harvester.collecting import existing_store, newest_plan
from harvester.curating.contamination import Contamination
from harvester.curating.contamination_sources import held_out_texts
from harvester.curating.corpus_filters import corpus_filters
from harvester.curating.curated import Curated
from harvester.curating.examples import candidates
from harvester.curating.findings import findings
from harvester.curating.looking import Executor, here
from harvester.curating.reporting import write_report
from harvester.curating.row_filters import row_filters
from harvester.curating.spool import Left, Spool, light, sample
from harvester.errors import StoreUnusable
from harvester.exporting.columns import Columns
from harvester.exporting.lineages import lineages
from harvester.judging import Rules
from harvester.recipe import Recipe
from harvester.store import StoreReader, StoreWriter
from harvester.store.applying import utc_now
from harvester.store.curations import Dropped
from harvester.verdicts import said


def curate(
    recipe: Recipe, store: Path | None = None, *, executor: Executor = here, report: Path | None = None
) -> Curated:
    """Look through every answer of train and dev with the filters that the recipe states, and store what they drop.

    The drops of the recipe's last curation are replaced; the test split is not looked at.

    Args:
        recipe: whose answers and filters.
        store: the database file; beside the recipe by default.
        executor: where the row filters run.
        report: a folder for curation.html and curation.json, if they are wanted.

    Raises:
        BadInput: a file or dataset of `decontaminate` cannot be read, a filter does not fit the recipe's rows, or the
            report cannot be written.
        StoreUnusable: no store, in use by another writer, or nothing in it for this recipe.
    """
    path = existing_store(recipe, store)
    with StoreWriter.open(path) as writer, _scratch(path) as folder:
        spool = folder / "candidates.arrow"
        _fill(spool, recipe, StoreReader(writer.engine, path), path)
        curated = look(recipe, spool, executor)
        settings = {"filters": list(curated.filters), **recipe.curate.model_dump(mode="json")}
        writer.keep_curation(recipe.name, settings, curated.looked_at, dict.fromkeys(curated.passed) | curated.drops)
        if report is not None:  # last: what is told is stored
            write_report(report, findings(recipe, spool, curated, utc_now()))
    return curated


def undo(recipe: Recipe, store: Path | None = None) -> int:
    """Take back every drop of the recipe's curation; returns how many there were.

    Raises:
        StoreUnusable: no store, or in use by another writer.
    """
    with StoreWriter.open(existing_store(recipe, store)) as writer:
        return writer.forget_curation(recipe.name)


def look(recipe: Recipe, spool: Path, executor: Executor = here) -> Curated:
    """Every filter of a recipe over a spool of its candidates.

    Args:
        recipe: whose filters.
        spool: a finished one.
        executor: where the row filters run.

    Raises:
        BadInput: as `curate`.
    """
    named = recipe.curate.decontaminate
    on = recipe.heldout is not None if named is None else bool(named)
    contamination = Contamination.from_texts(held_out_texts(recipe, named), sample(spool)) if on else None
    filters = row_filters(recipe.curate, contamination)
    protected = {id_ for id_, _, _, is_protected in light(spool) if is_protected}
    found: dict[int, Dropped] = {}
    for of_batch in executor(filters, spool):
        found |= {one.id: one for one in of_batch}
    comparing = corpus_filters(recipe.curate)
    for one in comparing:
        drops = one.drops(Left(spool, found.keys() - protected))
        found |= {id_: Dropped(id_, one.name, drop.reason, drop.detail) for id_, drop in drops.items()}
    curated = _counted(spool, found)
    curated.filters = (*(one.name for one in filters), *(one.name for one in comparing))
    return curated


def _counted(spool: Path, found: dict[int, Dropped]) -> Curated:
    curated = Curated()
    for id_, split, kept, protected in light(spool):
        curated.looked_at += 1
        curated.before[split] += kept
        drop = found.get(id_)
        if kept and (drop is None or protected):
            curated.after[split] += 1
            curated.passed.append(id_)
        if drop is None:
            continue
        counts = curated.overruled if protected else curated.dropped if kept else curated.rejected
        counts[drop.filter, drop.reason] += 1
        if not protected:
            curated.drops[id_] = drop
    return curated


def _fill(spool: Path, recipe: Recipe, reader: StoreReader, path: Path) -> None:
    plan_id = newest_plan(reader, recipe, path)
    with closing(Spool(spool)) as file, closing(reader.rows(plan_id)) as rows:
        for candidate in candidates(lineages(recipe, rows, Rules(recipe)), Columns(recipe), said(path)):
            file.add(candidate)


@contextmanager
def _scratch(store: Path) -> Iterator[Path]:
    """A folder beside the store, whose disk has room for it; what a killed curation left there is swept first.

    Raises:
        StoreUnusable: it cannot be written.
    """
    folder = store.with_name(f".{store.name}-curating")  # one writer, one folder
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder
    except OSError as error:
        raise StoreUnusable(f"{folder}: cannot be written: {error.strerror}; free some space and run again") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
