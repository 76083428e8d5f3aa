"""Running totals of money, what runs report, other models, and keys and indexes that a million rows need."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them; what replies cost and what runs lost becomes totals by run and teacher."""
    _move_spending()
    op.add_column("runs", sa.Column("progress", sa.Text))
    op.add_column("runs", sa.Column("judged_rules", sa.String))
    op.add_column("plans", sa.Column("judged_rules", sa.String))
    op.add_column("plans", sa.Column("judged_run", sa.Integer))
    op.add_column("replies", sa.Column("other_model", sa.Text))
    _number_outcomes()
    _make_indexes()


def _move_spending() -> None:
    op.create_table(
        "spending",
        sa.Column("run_id", sa.Integer, sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("teacher", sa.Text, primary_key=True),
        sa.Column("answered_nusd", sa.BigInteger, nullable=False),
        sa.Column("lost_nusd", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO spending (run_id, teacher, answered_nusd, lost_nusd) "
        "SELECT replies.run_id, teachers.name, sum(replies.cost_nusd), 0 "
        "FROM replies JOIN teachers ON teachers.id = replies.teacher_id GROUP BY 1, 2"
    )
    # Recipes had one teacher, of that name.
    op.execute(
        "INSERT INTO spending (run_id, teacher, answered_nusd, lost_nusd) "
        "SELECT id, 'teacher', 0, lost_nusd FROM runs WHERE lost_nusd <> 0 "
        "ON CONFLICT (run_id, teacher) DO UPDATE SET lost_nusd = excluded.lost_nusd"
    )
    op.drop_column("runs", "lost_nusd")


def _number_outcomes() -> None:
    op.rename_table("outcomes", "outcomes_by_row_id")
    op.create_table(
        "outcomes",
        sa.Column("id", sa.Integer, sa.ForeignKey("rows.id"), primary_key=True),
        sa.Column("rules", sa.String, nullable=False),
        sa.Column("accepted", sa.Boolean, nullable=False),
        sa.Column("drop_reason", sa.Text),
    )
    op.execute(
        "INSERT INTO outcomes (id, rules, accepted, drop_reason) "
        "SELECT rows.id, old.rules, old.accepted, old.drop_reason "
        "FROM rows JOIN outcomes_by_row_id AS old ON old.row_id = rows.row_id ORDER BY rows.id"
    )
    op.drop_table("outcomes_by_row_id")


def _make_indexes() -> None:
    op.drop_index("requests_open", "requests")
    op.create_index("requests_open", "requests", ["state"], sqlite_where=sa.text("state <> 'answered'"))
    op.drop_index("rows_of_request", "rows")
    op.create_index("rows_of_request", "rows", ["request_id", "plan_id"])
    op.create_index("replies_of_run", "replies", ["run_id"])
    op.create_index(
        "replies_of_other_models", "replies", ["other_model"], sqlite_where=sa.text("other_model IS NOT NULL")
    )
