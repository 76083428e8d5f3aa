"""What curating dropped, and why."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it."""
    op.create_table(
        "curations",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("recipe", sa.String, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("made_at", sa.String, nullable=False),
        sa.Column("looked_at", sa.Integer, nullable=False),
    )
    op.create_table(
        "curated",
        sa.Column("id", sa.Integer, sa.ForeignKey("rows.id"), primary_key=True),
        sa.Column("curation_id", sa.Integer, sa.ForeignKey("curations.id"), nullable=False),
        sa.Column("filter", sa.String),
        sa.Column("reason", sa.String),
        sa.Column("detail", sa.Text),
    )
    op.create_index("curated_by", "curated", ["curation_id"])
