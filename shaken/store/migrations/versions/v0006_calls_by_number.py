"""Calls can be found by number and by time."""

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_BATCH = 1000


def upgrade() -> None:
    """Divide calls into blocks with indexes, and list the destinations where there are several."""
    for name, size in (("block", 16_384), ("span", 524_288)):
        place = sa.Computed(f"sequence / {size}")
        op.add_column("calls", sa.Column(name, sa.Integer, place, nullable=True))
    for index in (["span", "at"], ["block", "orig"], ["block", "dest"]):
        op.create_index("_".join(["ix_calls", *index]), "calls", index)
    op.create_table(
        "call_destinations",
        sa.Column("number", sa.Text, primary_key=True),
        sa.Column(
            "call",
            sa.Integer,
            sa.ForeignKey("calls.sequence", ondelete="CASCADE"),
            primary_key=True,
            index=True,
        ),
        sqlite_with_rowid=False,
    )
    calls = sa.table("calls", sa.column("sequence"), sa.column("dest"))
    destinations = sa.table("call_destinations", sa.column("number"), sa.column("call"))
    connection = op.get_bind()
    several = (
        sa.select(calls.c.sequence, calls.c.dest)
        .where(calls.c.dest.contains(","))
        .order_by(calls.c.sequence)
        .limit(_BATCH)
    )
    last = 0
    while found := connection.execute(several.where(calls.c.sequence > last)).all():
        last = found[-1].sequence
        rows = [
            {"number": each, "call": row.sequence} for row in found for each in _split(row.dest)
        ]
        connection.execute(sa.insert(destinations), rows)


def _split(dest: str) -> Iterable[str]:
    return dict.fromkeys(dest.split(","))
