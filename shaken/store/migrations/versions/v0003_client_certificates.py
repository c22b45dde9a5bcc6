"""Credentials that are bound to a client certificate: its key's digest, and the certificate."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns; credentials of before are bound to none."""
    op.add_column("credentials", sa.Column("client_spki", sa.Text, nullable=True))
    op.add_column("credentials", sa.Column("client_certificate", sa.Text, nullable=True))
