"""STI certificates: which claims each lets its holder sign, as it says itself."""

from contextlib import suppress

import sqlalchemy as sa
from alembic import op
from cryptography import x509

from trust.certificate import UNREADABLE

revision = "0008"
down_revision = "0007"

_BATCH = 500
_OIDS = {"1.3.6.1.5.5.7.1.27", "1.3.6.1.5.5.7.1.33"}


def upgrade() -> None:
    """Add the extensions' DER in hex, from the chains that are there."""
    constraints = sa.Column("claim_constraints", sa.JSON, nullable=False, server_default="[]")
    op.add_column("certificates", constraints)
    certificates = sa.table(
        "certificates",
        *(sa.column(name) for name in ("sequence", "kind", "chain")),
        sa.column("claim_constraints", sa.JSON),
    )
    connection = op.get_bind()
    chains = (
        sa.select(certificates.c.sequence, certificates.c.chain)
        .where(certificates.c.kind == "sti")
        .order_by(certificates.c.sequence)
        .limit(_BATCH)
    )
    last = 0
    while rows := connection.execute(chains.where(certificates.c.sequence > last)).all():
        last = rows[-1].sequence
        for sequence, chain in rows:
            if found := _constraints(chain):
                connection.execute(
                    sa.update(certificates)
                    .where(certificates.c.sequence == sequence)
                    .values(claim_constraints=found)
                )


def _constraints(chain: str) -> list[str]:
    # Nobody could sign with a leaf that cannot be read, and nothing is looked for in it.
    with suppress(*UNREADABLE):
        leaf = x509.load_pem_x509_certificate(chain.encode())
        return [
            each.value.public_bytes().hex()
            for each in leaf.extensions
            if each.oid.dotted_string in _OIDS
        ]
    return []
