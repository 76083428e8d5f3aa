"""Store → what of it is worth training on: every drop has a reason, and can be taken back."""

from harvester.curating.curated import Curated
from harvester.curating.curation import curate, undo
from harvester.curating.looking import executor
from harvester.curating.people import speak
from harvester.curating.reporting import PAGE

__all__ = ["PAGE", "Curated", "curate", "executor", "speak", "undo"]
