"""Calls are added up many at a time: up to which of them they are."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the table; all calls that are on record have been counted."""
    made = op.create_table(
        "call_counts_reach", sa.Column("sequence", sa.BigInteger, nullable=False)
    )
    calls = sa.table("calls", sa.column("sequence"))
    newest = sa.select(sa.func.coalesce(sa.func.max(calls.c.sequence), 0))
    op.execute(sa.insert(made).from_select(["sequence"], newest))
