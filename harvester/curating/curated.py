"""What a curation looked at and dropped."""

from collections import Counter
from dataclasses import dataclass, field

from harvester.records import Json
from harvester.store.curations import Dropped


@dataclass(slots=True)
class Curated:
    """What a curation looked at and dropped."""

    filters: tuple[str, ...] = ()  # those that were on, in their order
    looked_at: int = 0  # answers of train and dev, rejected ones included
    before: Counter[str] = field(default_factory=Counter)  # by split: what would have been written
    after: Counter[str] = field(default_factory=Counter)  # by split: what is left of it
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)  # (filter, reason), of what would be written
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)  # the same, of answers rejected anyway
    overruled: Counter[tuple[str, str]] = field(default_factory=Counter)  # the same, of what a person accepted
    drops: dict[int, Dropped] = field(default_factory=dict)  # by row
    passed: list[int] = field(default_factory=list)  # rows that would be written, and stay

    def summary(self) -> dict[str, Json]:
        """The counts, for programs."""
        return {
            "filters": list(self.filters),
            "looked_at": self.looked_at,
            "before": dict(self.before),
            "after": {split: self.after[split] for split in self.before},
            "dropped": _nested(self.dropped),
            "of_rejected_answers": _nested(self.rejected),
            "overruled_by_people": _nested(self.overruled),
        }


def _nested(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (by, reason), count in sorted(counts.items()):
        found.setdefault(by, {})[reason] = count
    return found
