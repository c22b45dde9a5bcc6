"""What certificates that renew themselves need: settings, accounts, orders, tokens, leases."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the tables, empty."""
    op.create_table(
        "acme_settings",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("document", sa.JSON, nullable=False),
        sa.Column("sealed_secrets", sa.LargeBinary, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "acme_accounts",
        sa.Column("directory", sa.Text, primary_key=True),
        sa.Column("url", sa.Text, nullable=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("contact", sa.JSON, nullable=False),
        sa.Column("sealed_key", sa.LargeBinary, nullable=False),
        sa.Column("sealed_next_key", sa.LargeBinary, nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "acme_orders",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("names", sa.JSON, nullable=False),
        sa.Column("tenant", sa.Text, nullable=True, index=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("managed", sa.Boolean, nullable=False),
        sa.Column("demand", sa.Text, nullable=True),
        sa.Column("attempt", sa.JSON, nullable=True),
        sa.Column("records", sa.JSON, nullable=True),
        sa.Column("certified", sa.JSON, nullable=True),
        sa.Column("certificate", sa.Text, nullable=True, index=True),
        sa.Column("renewal_window", sa.JSON, nullable=True),
        sa.Column("failures", sa.JSON, nullable=True),
        sa.Column("next_try", sa.BigInteger, nullable=True, index=True),
        sa.Column("next_inquiry", sa.BigInteger, nullable=True, index=True),
    )
    op.create_table(
        "acme_tokens",
        sa.Column("token", sa.Text, primary_key=True),
        sa.Column("key_authorization", sa.Text, nullable=False),
        sa.Column("of_order", sa.Text, nullable=False, index=True),
        sa.Column("expires", sa.BigInteger, nullable=False, index=True),
    )
    op.create_table(
        "acme_revocations",
        sa.Column("certificate", sa.Text, primary_key=True),
        sa.Column("of_order", sa.Text, nullable=False),
        sa.Column("directory", sa.Text, nullable=False),
        sa.Column("chain", sa.Text, nullable=False),
        sa.Column("reason", sa.Integer, nullable=False),
        sa.Column("next_try", sa.BigInteger, nullable=False, index=True),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
    )
