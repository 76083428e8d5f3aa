"""per_source: at most so many rows of one source, which a field of the seeds names.

The best-scored rows stay, of equals the first ones of the dataset. Each split is capped by itself. Rows whose seed
names no source are left alone.
"""

from collections.abc import Iterable, Mapping

from harvester.curating.base import Drop, Example
from harvester.curating.capping import Kinds
from harvester.recipe import curation

WHERE = "curate.per_source.field"
SHOWN = 200


class PerSource:
    """Drops the worst rows of a source that has too many."""

    name = "per_source"

    def __init__(self, settings: curation.PerSource) -> None:
        """With the field and the cap."""
        self._settings = settings

    def drops(self, examples: Iterable[Example]) -> Mapping[int, Drop]:
        """The rows beyond the cap.

        Raises:
            BadInput: no row's seed has the field.
        """
        most = self._settings.most
        beyond = Kinds(examples, self._settings.field, WHERE).beyond(lambda _: most)
        return {row: Drop("per_source", {"source": source[:SHOWN], "most": most}) for row, (_, source) in beyond}
