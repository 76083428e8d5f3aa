"""Opening the database: read-only for readers, migrated and durable for the one writer."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy import text as sql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from harvester.errors import StoreUnusable
from harvester.store.schema import REVISIONS, metadata

BUSY_TIMEOUT_S = 10

CACHE_KIB = 64 * 1024
"""The writer's page cache: keys are hashes, so a million rows are inserted all over their indexes."""


def reading_engine(path: Path) -> Engine:
    """An engine that cannot write.

    Raises:
        StoreUnusable: no such store, not a database, or written by another version of Harvester.
    """
    file = _file(path)
    engine, revision = _read_only(path)
    if revision != REVISIONS[-1]:
        raise StoreUnusable(
            f"{path}: has the older schema {revision}; "
            "`harvester store compact` or `harvester collect` brings it up to date"
        )
    if _file(path) == file:
        return engine  # and from now on no other one comes there: `compact` needs the store for itself
    engine.dispose()
    return reading_engine(path)


def schema_of(path: Path) -> str:
    """The schema of a store, which may be an older one.

    Raises:
        StoreUnusable: no such store, not a database, or written by a newer Harvester.
    """
    engine, revision = _read_only(path)
    engine.dispose()
    return revision


def _read_only(path: Path) -> tuple[Engine, str]:
    """An engine that has read the store's schema, and that."""
    if not path.exists():
        raise StoreUnusable(f"{path}: no store there yet; `harvester collect` makes it")
    engine = _engine(path, mode="ro")
    with explained(path), engine.connect() as connection:
        revision = _revision(connection)
    if revision is None:
        raise StoreUnusable(f"{path}: is not a Harvester store")
    _refuse_newer(path, revision)
    return engine, revision


def _file(path: Path) -> tuple[int, int] | None:
    """Which file is at `path` now."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def plainly(path: Path, mode: str, *, named: Path | None = None) -> Iterator[sqlite3.Connection]:
    """The driver's own connection, for what has no place in SQLAlchemy's transactions; errors are explained.

    Args:
        path: the database's file.
        mode: "ro", "rw" or "rwc".
        named: of which store errors speak, where it is not that file.
    """
    with explained(named or path):
        connection = sqlite3.connect(uri(path, mode), uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)
        try:
            yield connection
        finally:
            connection.close()


def writing_engine(path: Path) -> Engine:
    """An engine for the one writer; the schema is made or brought up to date.

    Every commit is synced to disk before it returns (WAL, synchronous=FULL).

    Raises:
        StoreUnusable: unwritable, not a database, or written by a newer Harvester.
    """
    engine = _engine(path, mode="rwc")

    @event.listens_for(engine, "connect")
    def _durable(connection, _record) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - SQLAlchemy's hook
        connection.isolation_level = None  # transactions begin where SQLAlchemy says so, not where the driver guesses
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    with explained(path), engine.begin() as connection:
        revision = _revision(connection)
        if revision is None and not inspect(connection).get_table_names():
            _make(connection)
        elif revision != REVISIONS[-1]:
            _refuse_newer(path, revision)
            _migrate(connection)
    return engine


def _engine(path: Path, *, mode: str) -> Engine:
    if path.is_dir():
        raise StoreUnusable(f"{path}: is a folder; name the store's file in it")
    url = f"sqlite:///{uri(path, mode)}&uri=true"
    options = {"check_same_thread": False, "timeout": BUSY_TIMEOUT_S}
    return create_engine(url, poolclass=StaticPool, connect_args=options)


def uri(path: Path, mode: str) -> str:
    """How SQLite is told to open a file so and no otherwise."""
    return f"file:{quote(str(path.resolve()))}?mode={mode}"


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sql("SELECT version_num FROM alembic_version")).scalar()


def _refuse_newer(path: Path, revision: str | None) -> None:
    if revision is not None and revision not in REVISIONS:
        raise StoreUnusable(f"{path}: written by a newer Harvester (schema {revision}); upgrade Harvester")


def _make(connection: Connection) -> None:
    """The newest schema in a new file; alembic, which would cost 0.7 s, finds it as if it had been migrated to."""
    metadata.create_all(connection)
    connection.execute(sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(sql("INSERT INTO alembic_version VALUES (:revision)"), {"revision": REVISIONS[-1]})


def _migrate(connection: Connection) -> None:
    # Imported here: most runs find the schema up to date.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


class explained:  # noqa: N801 - used as a context manager only
    """Turns the driver's errors into one line with the store's name."""

    def __init__(self, path: Path) -> None:
        """For the store at `path`."""
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, DBAPIError | sqlite3.Error):
            raise StoreUnusable(f"{self._path}: {explain(error)}") from error
        if isinstance(error, UnicodeDecodeError):  # of the driver: what should be text is none
            raise StoreUnusable(f"{self._path}: corrupt ({error}); restore a copy") from error


def explain(error: DBAPIError | sqlite3.Error) -> str:
    """What SQLite's error means for the user."""
    message = str(error.orig if isinstance(error, DBAPIError) else error)
    if "not a database" in message or "malformed" in message:
        return f"corrupt or not a database ({message}); restore a copy"
    if "locked" in message:
        return f"locked by another program for more than {BUSY_TIMEOUT_S} s ({message}); close it and run again"
    if "unable to open" in message or "readonly" in message:
        return f"cannot be opened ({message}); let its file and its folder be read and written, and run again"
    if "disk" in message or "full" in message:
        return f"cannot be written ({message}); free some space and run again, nothing stored is lost"
    return message
