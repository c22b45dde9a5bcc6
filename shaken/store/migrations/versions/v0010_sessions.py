"""Sessions of people who have signed in to the admin pages."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the table. A credential that is revoked takes its sessions with it."""
    op.create_table(
        "sessions",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column(
            "credential",
            sa.Text,
            sa.ForeignKey("credentials.name", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("began_at", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("notices", sa.JSON, nullable=False),
    )
