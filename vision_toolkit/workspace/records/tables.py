"""The tables, and nothing else: what a workspace remembers, in SQLite or PostgreSQL.

Moments are seconds since 1970 UTC, as floats. Rows have a number, which grows and gives lists their order, and an
opaque id, by which everything outside this room knows them. A name that must be unique while its thing lives stands in
``key`` as well, which is empty as soon as it does not.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
)

__all__ = [
    "ENTRIES",
    "JOBS",
    "LOGS",
    "METADATA",
    "MODELS",
    "PACKAGES",
    "PROJECTS",
    "SETS",
    "TAGS",
    "TOKENS",
    "TRIALS",
    "WAITS",
]

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every table, with the rules by which indexes are named."""
# SQLite counts up an INTEGER alone; PostgreSQL's is 32 bits wide, which a billion entries would not fit.
_Number = BigInteger().with_variant(Integer(), "sqlite")


def _numbered(name: str, *columns: Column[Any] | Index) -> Table:
    number: Column[int] = Column("number", _Number, primary_key=True, autoincrement=True)
    return Table(name, METADATA, number, *columns, sqlite_autoincrement=True)


def _id() -> Column[str]:
    return Column("id", String(64), nullable=False, unique=True)


PROJECTS = _numbered(
    "projects",
    _id(),
    Column("service", String(16), nullable=False),
    Column("name", String(255), nullable=False),
    Column("key", String(300), unique=True),
    Column("created", Float(53), nullable=False),
    Column("updated", Float(53), nullable=False),
    Column("next_version", Integer, nullable=False, default=1),
    Column("facts", JSON, nullable=False, default=dict),
    Index(None, "service", "number"),
)
"""Projects, of every service."""

SETS = _numbered(
    "datasets",
    _id(),
    Column("project", String(64), ForeignKey("projects.id"), nullable=False),
    Column("type", String(16), nullable=False),
    Column("key", String(100), unique=True),
    Column("state", String(24), nullable=False),
    Column("message", Text, nullable=False),
    Column("version", Integer, nullable=False, default=0),
    Column("created", Float(53), nullable=False),
    Column("updated", Float(53), nullable=False),
    Column("total", Integer, nullable=False, default=0),
    Column("normal", Integer, nullable=False, default=0),
    Column("anomaly", Integer, nullable=False, default=0),
    Column("masked", Integer, nullable=False, default=0),
    Column("source", JSON),
    Index(None, "project"),
)
"""Datasets of projects; ``version`` is the one that is seen."""

# An entry is there from version `since` until, but not in, version `until`: what is staged is not seen before the
# dataset's version moves, and what it replaces is seen until then.
ENTRIES = _numbered(
    "entries",
    Column("dataset", _Number, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("since", Integer, nullable=False),
    Column("until", Integer),
    Column("source", Text, nullable=False),
    Column("label", SmallInteger),
    Column("masked", Boolean, nullable=False),
    Column("added", Float(53), nullable=False),
    Column("line", Text, nullable=False),
    # Holds all that a search for a part of a name looks at, in the order of the answer.
    Index("ix_entries_place", "dataset", "position", "since", "until", "source"),
    Index("ix_entries_label", "dataset", "label", "position"),
    Index("ix_entries_added", "dataset", "added", "position"),
    Index("ix_entries_source", "dataset", "source"),
)
"""Lines of datasets, of every version."""

MODELS = _numbered(
    "models",
    _id(),
    Column("project", String(64), ForeignKey("projects.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("key", String(100), unique=True),
    Column("state", String(24), nullable=False),
    Column("message", Text, nullable=False),
    Column("description", Text),
    Column("output", JSON, nullable=False),
    Column("kms", Text),
    Column("created", Float(53), nullable=False),
    Column("evaluated", Float(53)),
    Column("f1", Float(53)),
    Column("precision", Float(53)),
    Column("recall", Float(53)),
    Column("min_units", Integer),
    Column("max_units", Integer),
    Column("folder", Text),
    Column("facts", JSON, nullable=False, default=dict),
    Index(None, "project", "number"),
    Index(None, "state"),
)
"""Models of projects; ``version`` is counted in the project."""

PACKAGES = _numbered(
    "packages",
    _id(),
    Column("project", String(64), ForeignKey("projects.id"), nullable=False),
    Column("model", String(64), nullable=False),
    Column("model_version", Integer, nullable=False),
    Column("name", String(64), nullable=False),
    Column("key", String(200), unique=True),
    Column("component", String(300), unique=True),
    Column("state", String(24), nullable=False),
    Column("message", Text, nullable=False),
    Column("description", Text),
    Column("configuration", JSON, nullable=False),
    Column("output", JSON),
    Column("created", Float(53), nullable=False),
    Column("updated", Float(53), nullable=False),
    Index(None, "model"),
    Index(None, "project", "number"),
)
"""Packaging jobs of models, as their service sees them."""

TRIALS = _numbered(
    "trials",
    _id(),
    Column("project", String(64), ForeignKey("projects.id"), nullable=False),
    Column("model", String(64), nullable=False),
    Column("model_version", Integer, nullable=False),
    Column("name", String(255), nullable=False),
    Column("key", String(400), unique=True),
    Column("state", String(24), nullable=False),
    Column("message", Text, nullable=False),
    Column("folder", Text),
    Column("total", Integer, nullable=False, default=0),
    Column("anomaly", Integer, nullable=False, default=0),
    Column("verified", Integer, nullable=False, default=0),
    Column("created", Float(53), nullable=False),
    Column("updated", Float(53), nullable=False),
    Index(None, "project", "number"),
)
"""Trial detections: what a model says of images that nobody has labelled yet."""

TAGS = Table(
    "tags",
    METADATA,
    Column("resource", String(64), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("value", String(256), nullable=False),
)
"""Tags of whatever has an id."""

TOKENS = Table(
    "tokens",
    METADATA,
    Column("scope", String(400), primary_key=True),
    Column("token", String(64), primary_key=True),
    Column("request", String(64), nullable=False),
    Column("answer", Text),
    Column("expires", Float(53), nullable=False, index=True),
)
"""Tokens of calls, with the first answer."""

JOBS = _numbered(
    "jobs",
    _id(),
    Column("kind", String(24), nullable=False),
    Column("target", String(64), nullable=False),
    Column("project", String(64), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("data", LargeBinary),
    Column("state", String(16), nullable=False),
    Column("attempt", Integer, nullable=False, default=0),
    Column("deaths", Integer, nullable=False, default=0),
    Column("owner", String(128)),
    Column("lease", Float(53)),
    Column("progress", Float(53), nullable=False, default=0.0),
    Column("detail", Text, nullable=False, default=""),
    Column("error", Text),
    Column("created", Float(53), nullable=False),
    Column("started", Float(53)),
    Column("ended", Float(53)),
    Index(None, "state", "number"),
    Index(None, "target", "state"),
    Index(None, "project", "state"),
)
"""The queue: work that is to be done, is being done, or was."""

WAITS = Table(
    "job_waits",
    METADATA,
    Column("job", String(64), primary_key=True),
    Column("awaits", String(64), primary_key=True, index=True),
)
"""Which job waits for which."""

LOGS = _numbered(
    "job_logs",
    Column("job", String(64), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("moment", Float(53), nullable=False),
    Column("text", Text, nullable=False),
    Index(None, "job", "number"),
)
"""What was noted while jobs ran."""
