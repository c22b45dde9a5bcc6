"""Calls are counted by hour, so that counting them takes no look at each."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_HOUR = 3600
_KEPT_SECONDS = 31 * 24 * _HOUR


def upgrade() -> None:
    """Make the table, and count the calls of the last 31 days that are on record."""
    key = ("hour", "tenant", "kind", "verstat", "code")
    types = {"hour": sa.BigInteger, "code": sa.Integer}
    made = op.create_table(
        "call_counts",
        *(
            sa.Column(name, types.get(name, sa.Text), primary_key=True, autoincrement=False)
            for name in key
        ),
        sa.Column("number", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    calls = sa.table("calls", *(sa.column(name) for name in ("at", "tenant", *key[2:])))
    latest = op.get_bind().execute(sa.select(sa.func.max(calls.c.at))).scalar()
    if latest is None:
        return
    hour = calls.c.at - calls.c.at % _HOUR
    found = (calls.c.kind, sa.func.coalesce(calls.c.verstat, ""), sa.func.coalesce(calls.c.code, 0))
    since = calls.c.at >= latest - latest % _HOUR - _KEPT_SECONDS
    of_all = sa.select(hour, sa.literal(""), *found, sa.func.count()).where(since)
    of_each = sa.select(hour, calls.c.tenant, *found, sa.func.count()).where(
        since, calls.c.tenant.is_not(None)
    )
    for counted, tenant in ((of_all, ()), (of_each, (calls.c.tenant,))):
        op.execute(
            sa.insert(made).from_select([*key, "number"], counted.group_by(hour, *tenant, *found))
        )
