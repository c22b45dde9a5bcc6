"""Trusted roots, and which edition of the shipped ones was last applied."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables, empty: the first start fills in what is shipped."""
    op.create_table(
        "roots",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("not_before", sa.BigInteger, nullable=False),
        sa.Column("not_after", sa.BigInteger, nullable=False),
        sa.Column("pem", sa.Text, nullable=False),
        sa.Column("shipped", sa.Text, nullable=True),
        sa.Column("added", sa.Boolean, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("purpose", "id", name="roots_are_there_once"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "shipped_roots",
        sa.Column("purpose", sa.Text, primary_key=True),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
