"""What rows are compared with: the files and datasets of `curate.decontaminate`, or the recipe's held-out seeds."""

from collections.abc import Iterator, Sequence

from harvester.curating.held_out_runs import is_long
from harvester.errors import BadInput
from harvester.recipe import Recipe
from harvester.recipe.curation import Benchmark
from harvester.secret_forms import texts_in
from harvester.seeds import read_rows
from harvester.seeds_spec import Seeds

FIELD = "curate.decontaminate"


def held_out_texts(recipe: Recipe, named: Sequence[str | Benchmark] | None) -> Iterator[tuple[str, str, str]]:
    """(source, line or row or chunk, text) of every text of the held-out items, and the long ones of `reference`.

    A short one is the name of a class, or an answer such as many a row may have.

    Args:
        recipe: whose folder the paths are relative to.
        named: what its `curate.decontaminate` says; None: its held-out seeds, if it has any.

    Raises:
        BadInput: one line with the file, the line and the mend, as for seeds.
    """
    if named is None:
        if recipe.heldout:
            yield from _texts(recipe, recipe.heldout, "heldout", ())
        return
    for number, one in enumerate(named):
        where = f"{FIELD}.{number}"
        if isinstance(one, str):
            yield from _texts(recipe, Seeds(path=one), where, ())
        else:
            yield from _texts(recipe, one, where, one.fields)


def _texts(recipe: Recipe, spec: Seeds, where: str, fields: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    for source, number, data in read_rows(recipe.folder, spec, f"{recipe.path}: {where}"):
        if missing := [name for name in fields if name not in data]:
            known = ", ".join(data)[:200]
            raise BadInput(
                f"{source}: {source.unit} {number}: has no {missing[0]!r}, which {where}.fields names; it has {known}"
            )
        for name in fields or data:
            for text in texts_in(data[name]):
                if name != "reference" or is_long(text):
                    yield source.name, str(number), text
