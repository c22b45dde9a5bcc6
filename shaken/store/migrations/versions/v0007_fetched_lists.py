"""Certificate revocation lists, kept beyond a restart as certificates are."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the table, like that of certificates."""
    op.execute("ALTER TABLE fetched_certificates RENAME COLUMN chain TO content")
    op.create_table(
        "fetched_lists",
        sa.Column("url", sa.Text, primary_key=True),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("fetched_at", sa.Double, nullable=False, index=True),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("etag", sa.Text, nullable=True),
        sa.Column("last_modified", sa.Text, nullable=True),
    )
