"""Requests that go to a provider in one file."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add batches, their requests, and what came back that belongs to none of them."""
    op.create_table(
        "batches",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("token", sa.String, nullable=False, unique=True),
        sa.Column("recipe", sa.String, nullable=False),
        sa.Column("teacher", sa.String, nullable=False),
        sa.Column("teacher_id", sa.Integer, sa.ForeignKey("teachers.id"), nullable=False),
        sa.Column("run_id", sa.Integer, sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("requests", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("worst_nusd", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.String, nullable=False),
        sa.Column("file_id", sa.String),
        sa.Column("batch_id", sa.String),
        sa.Column("status", sa.String),
        sa.Column("ended_at", sa.String),
        sa.Column("result", sa.Text),
    )
    op.create_index("batches_live", "batches", ["recipe"], sqlite_where=sa.text("ended_at IS NULL"))
    op.create_table(
        "batched",
        sa.Column("request_id", sa.Integer, sa.ForeignKey("requests.id"), primary_key=True),
        sa.Column("batch_id", sa.Integer, sa.ForeignKey("batches.id"), nullable=False),
    )
    op.create_index("batched_in", "batched", ["batch_id"])
    op.create_table(
        "quarantined",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("batch_id", sa.Integer, sa.ForeignKey("batches.id"), nullable=False),
        sa.Column("custom_id", sa.Text),
        sa.Column("why", sa.String, nullable=False),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
    )
    op.create_index("quarantined_once", "quarantined", ["batch_id", "sha256"], unique=True)
