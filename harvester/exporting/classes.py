"""How many rows each class has: of the seeds' fields, and of answers that are labels."""

from collections import Counter
from collections.abc import Mapping

from harvester.balance import MOST_CHARACTERS, MOST_CLASSES
from harvester.records import Json

ANSWER = "the answer"
LEAST_ROWS = 5
"""Of a class, on average: five rows with five values have no classes."""


class Classes:
    """Counts values as long as a field has few of them."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self._counts: dict[str, Counter[str]] = {}
        self._many: set[str] = set()

    def add(self, seed: Mapping[str, Json], answer: str) -> None:
        """Count a row."""
        for name, value in seed.items():
            if name not in self._many:
                self._add(name, value)
        if ANSWER not in self._many:
            self._add(ANSWER, answer)

    def _add(self, name: str, value: Json) -> None:
        counts = self._counts.setdefault(name, Counter())
        if isinstance(value, str | bool | int) and len(text := str(value)) <= MOST_CHARACTERS:
            counts[text] += 1
            if len(counts) <= MOST_CLASSES:
                return
        del self._counts[name]
        self._many.add(name)

    def add_all(self, others: "Classes") -> None:
        """Count the rows that others have counted."""
        self._many |= others._many  # noqa: SLF001 - its own class
        for name, counts in others._counts.items():  # noqa: SLF001 - as above
            self._counts.setdefault(name, Counter()).update(counts)
        self._many |= {name for name, counts in self._counts.items() if len(counts) > MOST_CLASSES}
        for name in self._many & self._counts.keys():
            del self._counts[name]

    def found(self) -> dict[str, Counter[str]]:
        """Field → class → rows, of the fields that have several classes."""
        return {
            name: counts
            for name, counts in self._counts.items()
            if len(counts) > 1 and counts.total() >= LEAST_ROWS * len(counts)
        }
