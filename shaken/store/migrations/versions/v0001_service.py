"""Tenants, trunks, credentials, and the record of signed calls."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "tenants",
        sa.Column("address", sa.Text, primary_key=True),
        sa.Column("numbers", sa.JSON, nullable=False),
        sa.Column("aliases", sa.JSON, nullable=False),
        sa.Column("fallback", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "tenant_addresses",
        sa.Column("address", sa.Text, primary_key=True),
        sa.Column(
            "tenant",
            sa.Text,
            sa.ForeignKey("tenants.address", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
    )
    op.create_table(
        "trunks",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, sa.ForeignKey("tenants.address"), nullable=False, index=True),
        sa.Column("attest", sa.Text, nullable=False),
        sa.Column("foreign_attest", sa.Text, nullable=False),
        sa.Column("origid", sa.Text, nullable=False),
        sa.Column("direction", sa.Text, nullable=False),
        sa.Column("networks", sa.JSON, nullable=False),
        sa.Column("country", sa.Text, nullable=True),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "credentials",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("tenant", sa.Text, sa.ForeignKey("tenants.address"), nullable=True, index=True),
        sa.Column("trunk", sa.Text, sa.ForeignKey("trunks.name"), nullable=True, index=True),
        sa.Column("networks", sa.JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "signed_calls",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("credential", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=True),
        sa.Column("trunk", sa.Text, nullable=True),
        sa.Column("orig", sa.Text, nullable=False),
        sa.Column("dest", sa.Text, nullable=False),
        sa.Column("attest", sa.Text, nullable=False),
        sa.Column("origid", sa.Text, nullable=False),
        sa.Column("certificate", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
