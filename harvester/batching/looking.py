"""What a store knows of its batches, for those who look."""

from pathlib import Path
from typing import Any

from harvester.errors import BadInput
from harvester.pricing import usd
from harvester.store import StoreReader, batches
from harvester.store.batches import Batch


def every(store: Path) -> list[dict[str, Any]]:
    """Every batch of a store, oldest first.

    Raises:
        StoreUnusable: it cannot be read.
    """
    with StoreReader.open(store) as reader:
        return [_shown(batch) for batch in reader.read(batches.every)]


def one(store: Path, name: str) -> dict[str, Any]:
    """One batch, with the lines of its output that were set aside.

    Raises:
        BadInput: there is none of that name.
        StoreUnusable: the store cannot be read.
    """
    with StoreReader.open(store) as reader:
        found = named(reader.read(batches.every), name)
        aside = reader.read(lambda connection: batches.strays(connection, found.id))
    lines = [{"custom_id": stray.custom_id, "why": stray.why, "raw": _text(stray.raw)} for stray in aside]
    return {**_shown(found), "set_aside": lines}


def named(known: list[Batch], name: str) -> Batch:
    """The batch that a person means.

    Raises:
        BadInput: there is none of that name.
    """
    for batch in known:
        if batch.name == name:
            return batch
    names = ", ".join(batch.name for batch in known[-5:])
    raise BadInput(f"batch {name[:80]!r}: none of that name" + (f"; the newest are {names}" if names else ""))


def _shown(batch: Batch) -> dict[str, Any]:
    fields = ("recipe", "teacher", "requests", "status", "created_at", "ended_at", "file_id", "sha256", "result")
    return {"batch": batch.name, **{name: getattr(batch, name) for name in fields}, "worst_usd": usd(batch.worst_nusd)}


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
