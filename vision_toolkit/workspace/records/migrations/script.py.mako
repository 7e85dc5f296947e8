"""${message}."""

from alembic import op
import sqlalchemy as sa
${imports if imports else ""}

__all__: list[str] = []

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Change the tables."""
    ${upgrades if upgrades else "pass"}
