"""Tables of the service. Times are Unix seconds in UTC; lists are JSON."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Computed,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
)

from trust.store.types import Name

metadata = MetaData()

BLOCK_ROWS = 16_384
"""Calls of one block. The indexes by number begin with the block: new numbers are written into two
megabytes, which are in memory whatever the size of the table, where an index by the number alone
would write all over gigabytes. A search looks into each block, 3,000 for 50 million calls."""

SPAN_ROWS = 32 * BLOCK_ROWS
"""Calls of one span: what one step of a search goes through."""

tenants = Table(
    "tenants",
    metadata,
    Column("address", Name, primary_key=True),
    Column("numbers", JSON, nullable=False),
    Column("aliases", JSON, nullable=False),
    Column("fallback", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("managed", Boolean, nullable=False, server_default=false()),
)

tenant_addresses = Table(
    "tenant_addresses",
    metadata,
    Column("address", Text, primary_key=True),
    Column(
        "tenant",
        Text,
        ForeignKey("tenants.address", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
)

trunks = Table(
    "trunks",
    metadata,
    Column("name", Name, primary_key=True),
    Column("tenant", Name, ForeignKey("tenants.address"), nullable=False, index=True),
    Column("attest", Text, nullable=False),
    Column("foreign_attest", Text, nullable=False),
    Column("origid", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("networks", JSON, nullable=False),
    Column("country", Text, nullable=True),
    Column("answer", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("verification", JSON, nullable=False, server_default="{}"),
    Column("sip", JSON, nullable=False, server_default="{}"),
)

credentials = Table(
    "credentials",
    metadata,
    Column("name", Name, primary_key=True),
    Column("role", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("tenant", Name, ForeignKey("tenants.address"), nullable=True, index=True),
    Column("trunk", Name, ForeignKey("trunks.name"), nullable=True, index=True),
    Column("networks", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("client_spki", Text, nullable=True),
    Column("client_certificate", Text, nullable=True),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column(
        "credential",
        Name,
        ForeignKey("credentials.name", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("began_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("notices", JSON, nullable=False),
)
"""Who has signed in to the admin pages. `digest` is the SHA-256 of what the browser keeps."""

calls = Table(
    "calls",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("credential", Text, nullable=False),
    Column("tenant", Text, nullable=True),
    Column("trunk", Text, nullable=True),
    Column("orig", Text, nullable=False),
    Column("dest", Text, nullable=False),
    Column("attest", Text, nullable=False),
    Column("origid", Text, nullable=False),
    Column("certificate", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("kind", Text, nullable=False, server_default="signed"),
    Column("verstat", Text, nullable=True),
    Column("action", Text, nullable=True),
    Column("reason", Text, nullable=True),
    Column("code", Integer, nullable=True),
    Column("block", Integer, Computed(f"sequence / {BLOCK_ROWS}"), nullable=True),
    Column("span", Integer, Computed(f"sequence / {SPAN_ROWS}"), nullable=True),
    Index("ix_calls_span_at", "span", "at"),
    Index("ix_calls_block_orig", "block", "orig"),
    Index("ix_calls_block_dest", "block", "dest"),
    sqlite_autoincrement=True,
)
"""Several destinations stand in `dest` with commas between, and each in `call_destinations` too."""

call_destinations = Table(
    "call_destinations",
    metadata,
    Column("number", Text, primary_key=True),
    Column(
        "call",
        Integer,
        ForeignKey("calls.sequence", ondelete="CASCADE"),
        primary_key=True,
        index=True,
    ),
    sqlite_with_rowid=False,
)
"""The destinations of calls that have more than one."""

call_counts = Table(
    "call_counts",
    metadata,
    Column("hour", BigInteger, primary_key=True, autoincrement=False),
    Column("tenant", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("verstat", Text, primary_key=True),
    Column("code", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""How many calls there were, by the hour's first second. An empty `tenant` is all, an empty
`verstat` and a `code` of 0 are none. What is written is at the end, in the hour of now."""

call_counts_reach = Table(
    "call_counts_reach",
    metadata,
    Column("sequence", BigInteger, nullable=False),
)
"""One row: the last of the calls that are added up in `call_counts`."""

audit = Table(
    "audit",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False, index=True),
    Column("peer", Text, nullable=True),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False, index=True),
    Column("tenant", Text, nullable=True, index=True),
    Column("detail", JSON, nullable=False),
    sqlite_autoincrement=True,
)
"""Its migration adds what makes the database refuse to change and to remove rows."""


def _fetched(name: str) -> Table:
    """Return a table of others' files as they were last fetched; `content` is PEM.

    It is what every worker and the next start begin with.
    """
    return Table(
        name,
        metadata,
        Column("url", Text, primary_key=True),
        Column("content", Text, nullable=False),
        Column("fetched_at", Double, nullable=False, index=True),
        Column("expires_at", Double, nullable=False),
        Column("etag", Text, nullable=True),
        Column("last_modified", Text, nullable=True),
    )


fetched_certificates = _fetched("fetched_certificates")
"""Chains, the leaf first."""

fetched_lists = _fetched("fetched_lists")
"""Certificate revocation lists."""
