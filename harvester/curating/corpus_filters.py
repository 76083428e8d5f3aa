"""The filters that compare rows with each other, as a recipe's `curate` block asks for them."""

from harvester.curating.balance import Balance
from harvester.curating.base import CorpusFilter
from harvester.curating.exact_duplicates import ExactDuplicates
from harvester.curating.near_duplicates import NearDuplicates
from harvester.curating.per_source import PerSource
from harvester.recipe.curation import Curate


def corpus_filters(settings: Curate) -> list[CorpusFilter]:
    """Those that are on, in the order in which they run: that of the settings' fields."""
    filters: list[CorpusFilter] = []
    if settings.exact_duplicates == "drop":
        filters.append(ExactDuplicates())
    near = settings.near_duplicates
    if near.prompts is not None or near.answers is not None:
        filters.append(NearDuplicates(near))
    if settings.per_source is not None:
        filters.append(PerSource(settings.per_source))
    if settings.balance is not None:
        filters.append(Balance(settings.balance))
    return filters
