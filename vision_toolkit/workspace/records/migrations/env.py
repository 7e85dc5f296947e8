"""What Alembic runs: the steps, on the connection that it is given."""

from alembic import context

from vision_toolkit.workspace.records.tables import METADATA

if hasattr(context, "config"):  # there while Alembic runs this file, and not when somebody imports it
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=METADATA,
        render_as_batch=True,
        transaction_per_migration=False,
    )
    context.run_migrations()
