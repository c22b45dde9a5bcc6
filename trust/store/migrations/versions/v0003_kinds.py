"""All kinds of certificates: what was found about each when it was imported."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the findings of certificates."""
    op.add_column(
        "certificates", sa.Column("findings", sa.JSON, nullable=False, server_default="[]")
    )
