"""Store → what of it is worth training on: every drop has a reason, and can be taken back."""

from harvester.curating.curation import Curated, curate, undo
from harvester.curating.people import speak

__all__ = ["Curated", "curate", "speak", "undo"]
