"""Rows that are made from other rows, scores and votes, and exactly which requests a run has handed out."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them; a price becomes that of the one teacher which recipes had."""
    op.execute("ALTER TABLE rows ADD COLUMN parent INTEGER REFERENCES rows (id)")  # alembic would make the table anew
    op.add_column("rows", sa.Column("part", sa.Integer, nullable=False, server_default="0"))
    op.add_column("rows", sa.Column("teacher", sa.String, nullable=False, server_default="teacher"))
    op.create_index("rows_of_parent", "rows", ["parent"], sqlite_where=sa.text("parent IS NOT NULL"))
    op.add_column("outcomes", sa.Column("score", sa.Float))
    op.add_column("outcomes", sa.Column("vote", sa.Text))
    op.add_column("outcomes", sa.Column("checks", sa.Text))
    op.add_column("runs", sa.Column("outstanding", sa.Text))
    op.execute("UPDATE runs SET price = '{\"teacher\":' || price || '}' WHERE price IS NOT NULL")
