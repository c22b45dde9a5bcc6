"""The audit, whose rows the database itself keeps as they were written."""

from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_SQLITE_UPDATE = """
CREATE TRIGGER audit_refuses_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit rows are never changed'); END
"""
_SQLITE_DELETE = """
CREATE TRIGGER audit_refuses_delete BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'audit rows are never removed'); END
"""
# INSERT OR REPLACE removes the old row without asking the trigger above.
_SQLITE_REPLACE = """
CREATE TRIGGER audit_refuses_replace BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE sequence = NEW.sequence)
BEGIN SELECT RAISE(ABORT, 'audit rows are never changed'); END
"""

GUARDS: Mapping[str, tuple[str, ...]] = {
    "sqlite": (_SQLITE_UPDATE, _SQLITE_DELETE, _SQLITE_REPLACE),
}
"""What makes each dialect refuse changes. One that is not listed gets no table without guard."""


def upgrade() -> None:
    """Make the table and its guards."""
    guards = GUARDS[op.get_bind().dialect.name]
    op.create_table(
        "audit",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False, index=True),
        sa.Column("peer", sa.Text, nullable=True),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False, index=True),
        sa.Column("tenant", sa.Text, nullable=True, index=True),
        sa.Column("detail", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    for statement in guards:
        op.execute(statement)
