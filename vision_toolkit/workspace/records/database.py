"""Open SQLite or PostgreSQL, and change it in transactions that happen whole or not at all."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from vision_toolkit.core.errors import Failed, Invalid, Unsupported

__all__ = ["Database"]

WRITER = 7151
"""Number of the lock that PostgreSQL gives to one writer at a time."""
BUSY = 60.0
"""Seconds for which a change waits for another one's end."""


class Database:
    """Hold the records of a workspace.

    Parameters
    ----------
    url
        an SQLAlchemy URL, ``sqlite:///FILE`` or ``postgresql+psycopg://...`` (``postgresql://`` means the same); the
        tables are made, or brought up to date.

    Raises
    ------
    Invalid
        if the URL names neither.
    Unsupported
        if the driver is not installed, or the tables were made by a newer version of this toolkit.
    Failed
        if the server cannot be reached, or the file cannot be written.
    """

    def __init__(self, url: str) -> None:
        self.url = _url(url)
        self._local = threading.local()
        try:
            self.engine = _sqlite(self.url) if self.is_sqlite else _postgresql(self.url)
            with self._told():
                self._migrate()
        except ModuleNotFoundError as error:
            raise Unsupported(
                f"{self.name} needs the package {error.name}: pip install 'vision_toolkit[postgresql]'."
            ) from None

    @property
    def is_sqlite(self) -> bool:
        """Return whether the records are a file."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def name(self) -> str:
        """Return the URL without its password."""
        return self.url.render_as_string(hide_password=True)

    @contextlib.contextmanager
    def change(self) -> Iterator[Connection]:
        """Yield a connection whose changes are all kept if the block ends well, and none otherwise.

        Inside such a block of the same thread it yields that one's connection: the outermost block decides. One block
        runs at a time, whoever has the records open: what it reads stays true until its end.
        """
        known = getattr(self._local, "connection", None)
        if known is not None:
            yield known
            return
        self._local.later = []
        with self._told(), self.engine.connect() as connection:
            self._local.connection = connection
            try:
                with connection.begin():
                    if not self.is_sqlite:  # SQLite has one writer by itself
                        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER})")
                    yield connection
            finally:
                self._local.connection = None
        for tell in self._local.later:
            tell()

    def later(self, tell: Callable[[], None]) -> None:
        """Call something once when the change that this thread is inside of is kept."""
        if tell not in self._local.later:
            self._local.later.append(tell)

    @contextlib.contextmanager
    def look(self) -> Iterator[Connection]:
        """Yield a connection that sees one state and changes nothing; inside a change or :meth:`still`, that one's."""
        known = getattr(self._local, "connection", None) or getattr(self._local, "looking", None)
        if known is not None:
            yield known
            return
        with self._told(), self.engine.connect().execution_options(reads=True) as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def still(self) -> Iterator[None]:
        """Let all looks of this thread inside the block see one state; for blocks that change nothing."""
        if getattr(self._local, "connection", None) or getattr(self._local, "looking", None):
            yield
            return
        with self.look() as connection:
            self._local.looking = connection
            try:
                yield
            finally:
                self._local.looking = None

    def close(self) -> None:
        """Let go of every connection."""
        self.engine.dispose()

    def _migrate(self) -> None:
        """Make the tables, or bring them up to date, step by step, each in a transaction."""
        from alembic import command
        from alembic.config import Config
        from alembic.script import ScriptDirectory
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(files(__package__) / "migrations"))
        script = ScriptDirectory.from_config(config)
        with self.engine.connect() as connection:
            if _revision(connection) == script.get_current_head():
                return
        with self.engine.begin() as connection:
            if not self.is_sqlite:  # two servers that start at once
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER})")
            known = _revision(connection)
            config.attributes["connection"] = connection
            try:
                if known is None or known != script.get_current_head():
                    command.upgrade(config, "head")
            except CommandError:
                raise Unsupported(
                    f"The records at {self.name} are of version {known!r}, which this version of vision_toolkit does "
                    "not know: they were made by a newer one. Install that, or name another workspace."
                ) from None

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            raise Failed(f"The records at {self.name} cannot be used: {_first_line(error)}") from error
        except PoolTimeout as error:
            raise Failed(f"The records at {self.name} are asked by too many at once; try again.") from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise Failed(f"The records at {self.name} were lost: {_first_line(error)}") from error
            raise


def _url(text: str) -> URL:
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError):
        backend = ""
    if backend not in ("sqlite", "postgresql"):
        raise Invalid(f"database={text!r} is not known: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME.")
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and not url.database:
        raise Invalid("A workspace in memory alone would be gone with its first connection; name a file.")
    return url


def _sqlite(url: URL) -> Engine:
    assert url.database is not None
    try:
        Path(url.database).absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failed(f"{url.database}: {error.strerror or error}.") from error
    engine = create_engine(
        url, connect_args={"timeout": BUSY, "check_same_thread": False}, pool_size=16, max_overflow=48
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, and which
        for line in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "mmap_size = 268435456"):
            _insist(connection, f"PRAGMA {line}")

    @event.listens_for(engine, "begin")
    def _began(connection: Connection) -> None:
        # A change that begins by reading must not find, when it writes, that another one came between.
        reads = connection.get_execution_options().get("reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _insist(connection: Any, line: str) -> None:
    """Run a line that SQLite refuses, without waiting, while another one opens the same file for the first time."""
    until = time.monotonic() + BUSY
    while True:
        try:
            connection.execute(line)
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)


def _postgresql(url: URL) -> Engine:
    return create_engine(url, pool_size=16, max_overflow=48, pool_pre_ping=True)


def _revision(connection: Connection) -> str | None:
    from alembic.runtime.migration import MigrationContext

    return MigrationContext.configure(connection).get_current_revision()


def _first_line(error: DBAPIError) -> str:
    return (str(error.orig).strip() or type(error.orig).__name__).splitlines()[0]
