"""Seed files → seeds, streaming: tables, documents and datasets of several formats come out as one kind of thing."""

from harvester.seeds.reading import (
    ID_LENGTH,
    REFERENCE,
    Place,
    files_digest,
    places,
    read_rows,
    read_seeds,
    telling_where,
)

__all__ = ["ID_LENGTH", "REFERENCE", "Place", "files_digest", "places", "read_rows", "read_seeds", "telling_where"]
