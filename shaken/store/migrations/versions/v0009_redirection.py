"""Trunks whose PBX asks by SIP."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the column."""
    op.add_column("trunks", sa.Column("sip", sa.JSON, nullable=False, server_default="{}"))
