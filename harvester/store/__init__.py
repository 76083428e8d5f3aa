"""Where everything that was asked and answered is kept."""

from harvester.store.counting import Counts
from harvester.store.reading import RunState, StoreReader
from harvester.store.stored import StoredRow
from harvester.store.writing import StoreWriter

__all__ = ["Counts", "RunState", "StoreReader", "StoreWriter", "StoredRow"]
