"""Journal and ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _run() -> sa.Column[str]:
    return sa.Column("run", sa.String(16), sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)


def _number() -> sa.Column[int]:
    return sa.Column("number", sa.Integer, primary_key=True)


def upgrade() -> None:
    """Journal and ledger."""
    op.create_table(
        "runs",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
    )
    op.create_table(
        "sessions",
        _run(),
        _number(),
        sa.Column("provenance", sa.Text, nullable=False),
        sa.Column("started", sa.Double, nullable=False),
        sa.Column("ended", sa.Double),
        sa.Column("outcome", sa.String(16)),
        sa.Column("asked", sa.BigInteger, nullable=False),
        sa.Column("replayed", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "locks",
        _run(),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("pid", sa.BigInteger, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("boot", sa.Text, nullable=False),
        sa.Column("born", sa.Text, nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("heartbeat", sa.Double, nullable=False),
    )
    op.create_table(
        "requests",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "replies",
        sa.Column("key", sa.String(64), sa.ForeignKey("requests.key"), primary_key=True),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("calls", sa.BigInteger, nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
        sa.Column("new_tokens", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "steps", _run(), _number(), sa.Column("key", sa.String(64), sa.ForeignKey("requests.key"), nullable=False)
    )
    op.create_index("steps_by_key", "steps", ["key"])
    op.create_table("rounds", _run(), _number(), sa.Column("record", sa.Text, nullable=False))
    op.create_table(
        "individuals",
        _run(),
        _number(),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("score", sa.Double),
        sa.Column("parts", sa.Text, nullable=False),
        sa.Column("survival", sa.Double, nullable=False),
        sa.Column("accepted", sa.Boolean, nullable=False),
        sa.Column("logprob", sa.Double, nullable=False),
        sa.Column("finish", sa.String(16), nullable=False),
        sa.Column("parents", sa.Text, nullable=False),
    )
    op.create_table(
        "lineage",
        _run(),
        sa.Column("child", sa.Integer, primary_key=True),
        sa.Column("parent", sa.Integer, primary_key=True),
        sa.Column("share", sa.Double, nullable=False),
        sa.ForeignKeyConstraint(["run", "child"], ["individuals.run", "individuals.number"], ondelete="CASCADE"),
    )
    op.create_table(
        "accepted",
        _run(),
        _number(),
        sa.Column("evaluator", sa.Text, nullable=False),
        sa.Column("context", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["run", "number"], ["individuals.run", "individuals.number"], ondelete="CASCADE"),
    )
    op.create_table(
        "notes",
        _run(),
        _number(),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("info", sa.Text, nullable=False),
    )
