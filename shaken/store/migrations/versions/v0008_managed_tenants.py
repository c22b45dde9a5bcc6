"""Tenants whose certificates are obtained by themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column."""
    op.add_column(
        "tenants", sa.Column("managed", sa.Boolean, nullable=False, server_default=sa.false())
    )
