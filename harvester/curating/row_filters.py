"""The row filters that a recipe's `curate` block asks for."""

from harvester.curating.base import RowFilter
from harvester.curating.language import Language
from harvester.curating.length import Length
from harvester.curating.personal_data import PersonalData
from harvester.curating.refusals import Refusals
from harvester.curating.repetition import Repetition
from harvester.curating.secrets import Secrets
from harvester.curating.truncated import Truncated
from harvester.recipe.curation import Curate


def row_filters(settings: Curate, contamination: RowFilter | None = None) -> list[RowFilter]:
    """Those that are on, in the order of the settings' fields.

    Args:
        settings: the `curate` block.
        contamination: `decontaminate`'s filter, which knows the texts that no row may hold.

    Raises:
        BadInput: an unknown language.
    """
    stated: list[RowFilter | None] = [
        Secrets() if settings.secrets == "drop" else None,
        PersonalData() if settings.personal_data == "drop" else None,
        Refusals() if settings.refusals == "drop" else None,
        Repetition() if settings.repetition == "drop" else None,
        Truncated() if settings.truncated == "drop" else None,
        Language(settings.language) if settings.language else None,
        Length(settings.length) if settings.length else None,
        contamination,
    ]
    return [one for one in stated if one]
