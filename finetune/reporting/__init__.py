"""Reports that people read: a page for a run, a page for several beside each other, a table for the terminal."""

from finetune.reporting.nearness import nearness_table
from finetune.reporting.page import HTML, write_report
from finetune.reporting.table import table

__all__ = ["HTML", "nearness_table", "table", "write_report"]
