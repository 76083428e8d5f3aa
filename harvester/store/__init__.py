"""Where everything that was asked and answered is kept."""

from harvester.store.reading import Counts, StoredRow, StoreReader
from harvester.store.writing import StoreWriter

__all__ = ["Counts", "StoreReader", "StoreWriter", "StoredRow"]
