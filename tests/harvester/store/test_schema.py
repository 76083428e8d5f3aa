"""A new store is made in one go; it must be what the migrations would have made of it."""

import sqlite3
from pathlib import Path
from typing import Any

from harvester.store import StoreWriter

from toy_store import make_empty  # isort: skip - a helper beside the tests


def schema(path: Path) -> dict[str, Any]:
    connection = sqlite3.connect(path)
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {
        name: (
            sorted(column[1:] for column in connection.execute(f"PRAGMA table_info({name})")),
            sorted(key[2:] for key in connection.execute(f"PRAGMA foreign_key_list({name})")),
            sorted(
                (index[1], index[2], index[4], tuple(connection.execute(f"PRAGMA index_info({index[1]})")))
                for index in connection.execute(f"PRAGMA index_list({name})")
            ),
        )
        for name in names
    }
    of_indexes = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql != ''")
    found["partial"] = sorted((name, text.partition(" WHERE ")[2]) for name, text in of_indexes)
    found["alembic_version"] = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    connection.close()
    return found


def test_a_new_store_is_as_the_migrations_make_it(tmp_path: Path) -> None:
    make_empty(tmp_path / "migrated.db", "head")
    with StoreWriter.open(tmp_path / "new.db"):
        pass
    assert schema(tmp_path / "new.db") == schema(tmp_path / "migrated.db")
