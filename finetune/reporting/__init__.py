"""Reports that people read: a page for a run, a page for several beside each other, a table for the terminal."""

from finetune.reporting.page import HTML, write_report
from finetune.reporting.table import table

__all__ = ["HTML", "table", "write_report"]
