"""At most so many rows of a kind: what per_source and balance have in common.

Each split is capped by itself: rows of train take no place from dev.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from harvester.curating.base import Example
from harvester.curating.comparable import spaced
from harvester.curating.ranking import best_first, worth
from harvester.errors import BadInput
from harvester.records import Json, canonical

Kind = tuple[str, str]
"""(split, the field's value as a text)."""


class Kinds:
    """Rows that have a kind, with what they are ranked by; flat but for one text of each kind."""

    def __init__(self, examples: Iterable[Example], field: str | None, where: str) -> None:
        """Go through the rows once. One whose seed lacks the field, or holds null there, has no kind.

        Args:
            examples: the rows.
            field: of their seeds; None for the answer.
            where: the setting that names the field.

        Raises:
            BadInput: no row's seed has the field.
        """
        self._ids, self._worths, self._kinds = array("q"), array("d"), array("q")
        self._numbers: dict[Kind, int] = {}
        fields: set[str] = set()
        for example in examples:
            value = spaced(example.answer) if field is None else example.seed.get(field)
            if value is None:
                fields.update(example.seed)
                continue
            self._ids.append(example.id)
            self._worths.append(worth(example))
            self._kinds.append(self._numbers.setdefault((example.split, _text(value)), len(self._numbers)))
        if fields and not self._ids:
            known = ", ".join(sorted(fields))[:200]
            raise BadInput(f"{where}: no row's seed has the field {field!r}; they have: {known}")

    def counts(self) -> Counter[Kind]:
        """How many rows there are of each kind."""
        names = list(self._numbers)
        return Counter({names[number]: count for number, count in Counter(self._kinds).items()})

    def beyond(self, most: Callable[[Kind], int]) -> Iterator[tuple[int, Kind]]:
        """(id, kind) of the rows that are too many: the worst, of equals the last."""
        names = list(self._numbers)
        left = [most(name) for name in names]
        for place in best_first(self._worths):
            kind = self._kinds[place]
            left[kind] -= 1
            if left[kind] < 0:
                yield self._ids[place], names[kind]


def _text(value: Json) -> str:
    return value if isinstance(value, str) else canonical(value).decode()
