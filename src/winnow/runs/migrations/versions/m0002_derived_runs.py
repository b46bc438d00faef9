"""Runs derived from others by taking items out; individuals by round."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Runs derived from others by taking items out; individuals by round."""
    op.add_column("runs", sa.Column("parent", sa.String(16), nullable=True))
    op.add_column("runs", sa.Column("removed", sa.Text, nullable=True))
    op.create_index("individuals_by_round", "individuals", ["run", "round"])
