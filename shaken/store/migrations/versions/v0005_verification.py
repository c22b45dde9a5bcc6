"""Verified calls beside signed ones, and what a trunk does with them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Rename the table of signed calls, and add the columns of verdicts and policies."""
    op.rename_table("signed_calls", "calls")
    op.add_column("calls", sa.Column("kind", sa.Text, nullable=False, server_default="signed"))
    for name in ("verstat", "action", "reason"):
        op.add_column("calls", sa.Column(name, sa.Text, nullable=True))
    op.add_column("calls", sa.Column("code", sa.Integer, nullable=True))
    op.add_column("trunks", sa.Column("verification", sa.JSON, nullable=False, server_default="{}"))
