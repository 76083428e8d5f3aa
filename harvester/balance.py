"""Which kinds of seeds the accepted rows come from: rules and selection can keep one class and lose the others."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harvester.records import Json

MOST_CLASSES = 12
"""A field with more values than that names no classes."""
MOST_CHARACTERS = 40
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
    of_asked, of_accepted = _count(asked), _count(accepted)
    fields = {
        name: {value: (number, of_accepted[name][value]) for value, number in sorted(classes.items())}
        for name, classes in of_asked.items()
        if 1 < len(classes) <= MOST_CLASSES
    }
    warnings = [line for name, shares in fields.items() for line in _warnings(name, shares)]
    said = Counter(answers)
    if len(said) == 1 and (only := next(iter(said))) and said[only] > LEAST_ASKED and len(only) <= MOST_CHARACTERS:
        warnings.append(f"{ANSWER}: all {said[only]} accepted answers looked at are {only!r}")
    return Balance(fields, tuple(warnings))


def _count(seeds: Iterable[Mapping[str, Json]]) -> defaultdict[str, Counter[str]]:
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for seed in seeds:
        for name, value in seed.items():
            if isinstance(value, str | bool | int) and len(text := str(value)) <= MOST_CHARACTERS:
                found[name][text] += 1
            else:
                found[name]["…"] += 1  # neither a class nor nothing: its share counts
    return found


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
