"""What a curation found, as facts for a report: counts, lengths and classes before and after, examples of each drop."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harvester.balance import MOST_CHARACTERS
from harvester.curating.base import Example
from harvester.curating.curated import Curated
from harvester.curating.spool import batches, candidates_in
from harvester.exporting.classes import Classes
from harvester.recipe import Recipe
from harvester.records import Json
from harvester.store.curations import Dropped

MOST_EXAMPLES = 5
"""Of each filter."""
SHOWN_CHARACTERS = 600
NEVER_SHOWN = frozenset({"secrets", "personal_data"})
"""What these filters found must not be in a report either: neither as an example nor as a class."""
BANDS = (0, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Lower bounds, in words, of the bars that show how long answers are; `to` is the next one, None for the last."""


def findings(recipe: Recipe, spool: Path, curated: Curated, at: str) -> dict[str, Json]:
    """Everything that the report shows.

    Args:
        recipe: whose answers.
        spool: the candidates that were looked at.
        curated: what became of them.
        at: when, ISO 8601.
    """
    chosen = _chosen(curated.drops.values())
    wanted = {one.detail.get("of") for some in chosen.values() for one in some} - {None}
    tally, shown, others = _Tally(), dict[int, Example](), dict[str, Example]()
    ids = {one.id for some in chosen.values() for one in some}
    for batch in batches(spool):
        for candidate in candidates_in(batch):
            example = candidate.example
            drop = curated.drops.get(example.id)
            if candidate.kept and not (drop and drop.filter in NEVER_SHOWN):
                tally.add(example, stays=drop is None)
            if example.id in ids:
                shown[example.id] = example
            if example.row_id in wanted:
                others[example.row_id] = example
    return {
        "format": 1,
        "recipe": recipe.name,
        "at": at,
        "settings": recipe.curate.model_dump(mode="json"),
        **curated.summary(),
        **tally.found(),
        "examples": {
            by: [_example(one, shown[one.id], others.get(str(one.detail.get("of")))) for one in some]
            for by, some in chosen.items()
        },
    }


class _Tally:
    """Lengths and classes, before and after."""

    def __init__(self) -> None:
        self._lengths = {"before": Counter[int](), "after": Counter[int]()}
        self._classes = {"before": Classes(), "after": Classes()}

    def add(self, example: Example, *, stays: bool) -> None:
        band = max(low for low in BANDS if low <= len(example.answer.split()))
        for when in ("before", "after") if stays else ("before",):
            self._lengths[when][band] += 1
            self._classes[when].add(example.seed, example.answer[: MOST_CHARACTERS + 1])

    def found(self) -> dict[str, Json]:
        before, after = (self._classes[when].found() for when in ("before", "after"))
        return {
            "answer_words": [
                {"from": low, "to": high, **{when: counts[low] for when, counts in self._lengths.items()}}
                for low, high in zip(BANDS, (*BANDS[1:], None), strict=True)
            ],
            "classes": {
                field: [
                    {"class": name, "before": count, "after": after.get(field, Counter())[name]}
                    for name, count in sorted(counts.items())
                ]
                for field, counts in before.items()
            },
        }


def _chosen(drops: Iterable[Dropped]) -> Mapping[str, list[Dropped]]:
    """The first few of each filter."""
    chosen: defaultdict[str, list[Dropped]] = defaultdict(list)
    for one in drops:
        if len(chosen[one.filter]) < MOST_EXAMPLES:
            chosen[one.filter].append(one)
    return chosen


def _example(drop: Dropped, example: Example, other: Example | None) -> dict[str, Any]:
    silent = drop.filter in NEVER_SHOWN
    return {
        "row_id": example.row_id,
        "reason": drop.reason,
        "detail": dict(drop.detail),
        "prompt": None if silent else example.prompt[:SHOWN_CHARACTERS],
        "answer": None if silent else example.answer[:SHOWN_CHARACTERS],
        "stays": None if silent or other is None else _part(other, drop.detail.get("part"))[:SHOWN_CHARACTERS],
    }


def _part(example: Example, part: Json) -> str:
    return example.prompt if part == "prompt" else example.answer
