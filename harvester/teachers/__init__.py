"""Clients and servers of teacher models."""
