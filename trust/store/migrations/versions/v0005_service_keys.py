"""Secret keys that the service has for itself."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table, empty."""
    op.create_table(
        "service_keys",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
