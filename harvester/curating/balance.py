"""balance: no class has more than so many times the rows of the smallest.

A class is a value of a field of the seeds, or an answer, whose case and white space make no difference. Of a class
that is too large the best-scored rows stay, of equals the first ones of the dataset. Each split is balanced by itself.
Rows without a class are left alone.

One row with a label of its own, such as a misspelt one, makes a smallest class of one row: let the verifier `labels`
drop it before.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction

from harvester.curating.base import Drop, Example
from harvester.curating.capping import Kind, Kinds
from harvester.errors import BadInput
from harvester.recipe import ANSWER, curation

WHERE = "curate.balance.field"
FEW_CLASSES = 12
"""So many may have a single row each."""
LONGEST_LABEL = 200
"""Characters."""


class Balance:
    """Drops the worst rows of classes that are too large."""

    name = "balance"

    def __init__(self, settings: curation.Balance) -> None:
        """With the field and the factor."""
        self._settings = settings

    def drops(self, examples: Iterable[Example]) -> Mapping[int, Drop]:
        """The rows beyond the cap of their split's classes.

        Raises:
            BadInput: no row's seed has the field, or what it holds names no classes.
        """
        field = self._settings.field
        kinds = Kinds(examples, None if field == ANSWER else field, WHERE)
        counts = kinds.counts()
        _require_labels(counts, field)
        smallest: dict[str, int] = {}
        for (split, _), count in counts.items():
            smallest[split] = min(count, smallest.get(split, count))
        times = Fraction(str(self._settings.at_most))  # 100 · 2.3 is 229.99999999999997
        most = {split: int(count * times) for split, count in smallest.items()}
        return {
            row: Drop("balance", {"class": label, "most": most[split]})
            for row, (split, label) in kinds.beyond(lambda kind: most[kind[0]])
        }


def _require_labels(counts: Mapping[Kind, int], field: str) -> None:
    labels = {label for _, label in counts}
    longest = max(labels, key=len, default="")
    if len(longest) > LONGEST_LABEL:
        problem = f"one of its values has {len(longest):,} characters"
    elif len(labels) > FEW_CLASSES and 2 * len(labels) > (rows := sum(counts.values())):
        problem = f"{len(labels):,} different values among {rows:,} rows"
    else:
        return
    raise BadInput(f"{WHERE}: {field!r} names no classes ({problem}); name a field whose values are labels")
