"""A store whose requests and replies have much in common, and looks at what it holds. A helper."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from harvester.store import StoreReader, StoreWriter
from harvester.store.dictionaries import read
from harvester.store.stored import StoredRow

from toy_store import add_talk, answer, begin  # isort: skip - a helper beside the tests

COUNT, LEFT = 400, 20
"""Requests, and those that have no answer."""
OTHERS = (".lock", ".mark", "-wal", "-shm")


def make_talk(path: Path) -> None:
    with StoreWriter.open(path) as store:
        run_id = begin(store, add_talk(store, COUNT))
        answer(store, run_id, range(1, COUNT - LEFT + 1))


def rows(path: Path) -> list[StoredRow]:
    with StoreReader.open(path) as reader:
        return list(reader.rows(1))


def contents(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every table but the dictionaries, with what is packed unpacked."""
    with closing(sqlite3.connect(path)) as connection:
        packing = read(connection)
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        found = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}  # noqa: S608
    found.pop("dictionaries")
    found["requests"] = [
        tuple(packing.restored(v) if isinstance(v, bytes) else v for v in r) for r in found["requests"]
    ]
    found["replies"] = [(*r[:3], packing.restored(r[3]), *r[4:]) for r in found["replies"]]
    return {name: sorted(some, key=repr) for name, some in found.items()}


def query(path: Path, sql: str, *values: object) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(sql, values).fetchall()


def files(path: Path) -> set[str]:
    return {file.name for file in path.parent.iterdir()} - {f"harvest.db{suffix}" for suffix in OTHERS}
