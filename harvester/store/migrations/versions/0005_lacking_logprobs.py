"""Replies without the log probabilities that were asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the mark; of older replies it says nothing."""
    op.add_column("replies", sa.Column("lacks_logprobs", sa.Boolean))
    op.create_index(
        "replies_lacking_logprobs", "replies", ["lacks_logprobs"], sqlite_where=sa.text("lacks_logprobs IS NOT NULL")
    )
