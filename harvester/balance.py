"""Which kinds of seeds the accepted rows come from: rules and selection can keep one class and lose the others.

A field names classes when it has 2 to MOST_CLASSES values, each is shared by LEAST_SHARED different seeds or more on
average, and at most half of the seeds hold what can be no class there: a long text, a list, nothing. So a label is
counted, and a text, a question or a number of its own is not, however few seeds there are and however many samples.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harvester.records import Json

MOST_CLASSES = 12
"""A field with more values than that names no classes."""
LEAST_SHARED = 2
MOST_CHARACTERS = 40
_NO_CLASS = "…"
LEAST_ASKED = 5
"""Of a class before anything is said about it."""
ANSWER = "the answer itself"

Shares = dict[str, tuple[int, int]]
"""Class → (asked, accepted)."""


@dataclass(frozen=True, slots=True)
class Balance:
    """Accepted against asked, by every field that has classes."""

    fields: Mapping[str, Shares]
    warnings: tuple[str, ...]


def balance(
    asked: Iterable[Mapping[str, Json]], accepted: Iterable[Mapping[str, Json]], answers: Iterable[str] = ()
) -> Balance:
    """Compare the seeds that were asked about with those whose rows were accepted.

    Args:
        asked: a seed's fields for each row.
        accepted: the same for each accepted row.
        answers: of accepted rows; where all of many are one short text, that is said too.
    """
    of_asked, of_accepted, of_seeds = _Counts(), _Counts(), _Counts()
    seen = set[int]()
    for seed in asked:
        of_asked.add(seed)
        if (identity := hash(json.dumps(seed, sort_keys=True))) not in seen:  # else one more sample of it
            seen.add(identity)
            of_seeds.add(seed)
    for seed in accepted:
        of_accepted.add(seed)
    fields = {
        name: {value: (number, of_accepted[name][value]) for value, number in sorted(classes.items())}
        for name, classes in of_asked.items()
        if _names_classes(of_seeds[name])
    }
    warnings = [line for name, shares in fields.items() for line in _warnings(name, shares)]
    said = Counter(answers)
    if len(said) == 1 and (only := next(iter(said))) and said[only] > LEAST_ASKED and len(only) <= MOST_CHARACTERS:
        warnings.append(f"{ANSWER}: all {said[only]} accepted answers looked at are {only!r}")
    return Balance(fields, tuple(warnings))


def _names_classes(seeds: Counter[str]) -> bool:
    """Whether the values of a field, each with how many different seeds hold it, are classes."""
    others = seeds[_NO_CLASS]
    shared, values = seeds.total() - others, len(+seeds) - bool(others)
    return 1 < len(+seeds) <= MOST_CLASSES and shared >= LEAST_SHARED * values and shared >= others


class _Counts(defaultdict[str, Counter[str]]):
    """Field → value → how many hold it."""

    def __init__(self) -> None:
        super().__init__(Counter)

    def add(self, seed: Mapping[str, Json]) -> None:
        for name, value in seed.items():
            known = isinstance(value, str | bool | int) and len(str(value)) <= MOST_CHARACTERS
            self[name][str(value) if known else _NO_CLASS] += 1  # its share counts, though it is no class


def _warnings(name: str, shares: Shares) -> list[str]:
    known = {value: share for value, share in shares.items() if share[0] >= LEAST_ASKED}
    kept = [value for value, (_, accepted) in known.items() if accepted]
    if not kept or len(known) == len(kept):
        return []
    lost = ", ".join(f"{value!r} (0 of {asked})" for value, (asked, accepted) in known.items() if not accepted)
    if len(kept) == 1:
        asked, accepted = known[kept[0]]
        return [f"{name}: only {kept[0]!r} is ever accepted ({accepted} of {asked}); nothing of {lost}"]
    return [f"{name}: nothing accepted of {lost}"]
