"""The layouts that a dataset can be written in, beside its own: what other trainers read.

They are made from the finished parquet files, row by row: each of them holds less than those do.
"""

from harvester.exporting.formats.catalogue import FORMATS, NAMES, OF_TOKENS, OWN, SIDECARS, Format, named, uses_pairs
from harvester.exporting.formats.converting import Converted, convert

__all__ = ["FORMATS", "NAMES", "OF_TOKENS", "OWN", "SIDECARS", "Converted", "Format", "convert", "named", "uses_pairs"]
