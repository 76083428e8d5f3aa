"""The first schema. It stands here in full: later changes to schema.py must not change what 0001 made."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "plans",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("recipe", sa.String, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("recipe_text", sa.Text, nullable=False),
        sa.Column("created_at", sa.String, nullable=False),
    )
    op.create_table(
        "seeds",
        sa.Column("seed_id", sa.String, primary_key=True),
        sa.Column("data", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "teachers",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("fingerprint", sa.String, nullable=False, unique=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("provider", sa.String, nullable=False),
        sa.Column("identity", sa.String, nullable=False),
        sa.Column("terms", sa.Text, nullable=False),
        sa.Column("price", sa.Text),
    )
    _create_requests_and_rows()
    _create_results()


def _create_requests_and_rows() -> None:
    op.create_table(
        "requests",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.String, nullable=False, unique=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String, nullable=False, server_default="pending"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("reason", sa.Text),
    )
    op.create_index("requests_open", "requests", ["id"], sqlite_where=sa.text("state = 'pending'"))
    op.create_table(
        "rows",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("row_id", sa.String, nullable=False, unique=True),
        sa.Column("plan_id", sa.Integer, sa.ForeignKey("plans.id"), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("step", sa.String, nullable=False),
        sa.Column("split", sa.String, nullable=False),
        sa.Column("seed_id", sa.String, sa.ForeignKey("seeds.seed_id"), nullable=False),
        sa.Column("sample", sa.Integer, nullable=False),
        sa.Column("reference", sa.Text),
        sa.Column("request_id", sa.Integer, sa.ForeignKey("requests.id"), nullable=False),
    )
    op.create_index("rows_in_order", "rows", ["plan_id", "position", "sample"])
    op.create_index("rows_of_request", "rows", ["request_id"])


def _create_results() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("plan_id", sa.Integer, sa.ForeignKey("plans.id"), nullable=False),
        sa.Column("recipe", sa.String, nullable=False),
        sa.Column("price", sa.Text),
        sa.Column("started_at", sa.String, nullable=False),
        sa.Column("ended_at", sa.String),
        sa.Column("seconds", sa.Integer),
        sa.Column("handed_out", sa.Integer, nullable=False, server_default="0"),
        sa.Column("uncertain", sa.Integer, nullable=False, server_default="0"),
        sa.Column("lost_nusd", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("outcome", sa.Text),
    )
    op.create_table(
        "replies",
        sa.Column("request_id", sa.Integer, sa.ForeignKey("requests.id"), primary_key=True),
        sa.Column("teacher_id", sa.Integer, sa.ForeignKey("teachers.id"), nullable=False),
        sa.Column("run_id", sa.Integer, sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sa.Column("cost_nusd", sa.BigInteger, nullable=False),
        sa.Column("received_at", sa.String, nullable=False),
    )
    op.create_table(
        "outcomes",
        sa.Column("row_id", sa.String, primary_key=True),
        sa.Column("rules", sa.String, nullable=False),
        sa.Column("accepted", sa.Boolean, nullable=False),
        sa.Column("drop_reason", sa.Text),
        sqlite_with_rowid=False,
    )
