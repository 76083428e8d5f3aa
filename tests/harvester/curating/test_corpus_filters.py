"""Which corpus filters a recipe's settings switch on, in which order."""

import pytest

from harvester.curating.corpus_filters import corpus_filters
from harvester.recipe.curation import Curate


@pytest.mark.parametrize(
    ("stated", "names"),
    [
        ({}, ["exact_duplicates", "near_duplicates"]),
        ({"exact_duplicates": "keep"}, ["near_duplicates"]),
        ({"near_duplicates": {"prompts": None, "answers": None}}, ["exact_duplicates"]),
        ({"near_duplicates": {"prompts": None}}, ["exact_duplicates", "near_duplicates"]),
        (
            {"balance": {"field": "label"}, "per_source": {"field": "source", "most": 3}},
            ["exact_duplicates", "near_duplicates", "per_source", "balance"],
        ),
    ],
)
def test_those_that_are_on_in_the_order_of_the_settings(stated: dict[str, object], names: list[str]) -> None:
    found = [one.name for one in corpus_filters(Curate.model_validate(stated))]
    assert found == names
    fields = list(Curate.model_fields)
    assert found == sorted(found, key=fields.index)
