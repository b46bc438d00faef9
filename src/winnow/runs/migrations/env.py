"""Alembic runs this: over the connection that the store hands in, inside the transaction that is already open."""

from __future__ import annotations

from alembic import context

from winnow.runs.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
context.run_migrations()
