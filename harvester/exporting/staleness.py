"""Whether what the recipe's curation found still holds."""

from collections.abc import Iterable, Iterator

from harvester.recipe import Recipe
from harvester.records import count_of
from harvester.store.curations import Curation
from harvester.verdicts import Verdict


def staleness(recipe: Recipe, curation: Curation, newer: int, people: Iterable[Verdict]) -> Iterator[str]:
    """Why it should be done again, in words that follow "since then".

    Args:
        recipe: with the settings of now.
        curation: the newest.
        newer: rows that are written and that it did not look at.
        people: what was said of rows, and still counts.
    """
    if newer:
        yield f"{count_of(newer, 'row')} came that {'was' if newer == 1 else 'were'} not looked through"
    settings = {name: value for name, value in curation.settings.items() if name != "filters"}
    if settings != recipe.curate.model_dump(mode="json"):
        yield "the recipe's settings were edited"
    if spoken := sum(verdict.said_at > curation.made_at for verdict in people):
        yield f"people spoke of {count_of(spoken, 'row')}"
