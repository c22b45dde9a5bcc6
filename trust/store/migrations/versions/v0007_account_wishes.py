"""What administrators want done with an account, and why that was not done yet."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the columns, empty: nothing is wanted."""
    op.add_column("acme_accounts", sa.Column("wish", sa.Text, nullable=True))
    op.add_column("acme_accounts", sa.Column("failures", sa.JSON, nullable=True))
    op.add_column("acme_accounts", sa.Column("next_try", sa.BigInteger, nullable=True))
