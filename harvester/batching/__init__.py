"""Collecting through a provider's Batch API: the same requests in files, answered within a day for less."""
