"""A row by the beginning of its name, as people give it."""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, select

from harvester.errors import BadInput
from harvester.store.schema import rows


def row_named(connection: Connection, path: Path, beginning: str) -> Row[*tuple[Any, ...]]:
    """The one row (id, row_id, step, split) whose row_id begins so.

    Raises:
        BadInput: no row of the store at `path` does, or several do.
    """
    by_name = rows.c.row_id.startswith(beginning, autoescape=True)
    found = connection.execute(
        select(rows.c.id, rows.c.row_id, rows.c.step, rows.c.split).where(by_name).limit(2)
    ).all()
    if len(found) != 1:
        what = "several rows begin with" if found else "no row begins with"
        raise BadInput(f"{path}: {what} {beginning!r}; take the row_id of the dataset")
    return found[0]
