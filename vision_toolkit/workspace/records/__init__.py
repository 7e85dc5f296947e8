"""What a workspace remembers: tables in SQLite or PostgreSQL, and the only place that knows SQLAlchemy.

``tables`` says what there is, ``migrations`` how older ones become it, ``database`` opens and changes, ``rows`` turns
rows into values; ``entries``, ``queue``, ``tags`` and ``tokens`` are the questions that need more than one line.
"""

from sqlalchemy import Connection

from vision_toolkit.workspace.records.database import Database

__all__ = ["Connection", "Database"]
