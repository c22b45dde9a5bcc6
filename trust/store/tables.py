"""What the store keeps for `trust`: certificates, requests, roots, keys, and what ACME needs.

Times are Unix seconds in UTC; lists are JSON.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

from trust.store.types import Name

metadata = MetaData()

revision = Table(
    "revision",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("number", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="revision_is_one_row"),
)

master_key_check = Table(
    "master_key_check",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    CheckConstraint("id = 1", name="master_key_check_is_one_row"),
)

certificates = Table(
    "certificates",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", Name, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("names", JSON, nullable=False),
    Column("subject", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("serial", Text, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("tenant", Name, nullable=True, index=True),
    Column("tn_auth_list", LargeBinary, nullable=True),
    Column("x5u", Text, nullable=True),
    Column("source", Text, nullable=False),
    Column("chain", Text, nullable=False),
    Column("sealed_key", LargeBinary, nullable=True),
    Column("stored_at", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("findings", JSON, nullable=False, server_default="[]"),
    Column("claim_constraints", JSON, nullable=False, server_default="[]"),
    sqlite_autoincrement=True,
)

certificate_requests = Table(
    "certificate_requests",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("names", JSON, nullable=False),
    Column("subject", Text, nullable=False),
    Column("tenant", Text, nullable=True, index=True),
    Column("tn_auth_list", LargeBinary, nullable=True),
    Column("key_type", Text, nullable=False),
    Column("csr", Text, nullable=False),
    Column("sealed_key", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

service_keys = Table(
    "service_keys",
    metadata,
    Column("name", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("revision", BigInteger, nullable=False),
)

roots = Table(
    "roots",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("purpose", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("pem", Text, nullable=False),
    Column("shipped", Text, nullable=True),
    Column("added", Boolean, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("revision", BigInteger, nullable=False),
    UniqueConstraint("purpose", "id", name="roots_are_there_once"),
    sqlite_autoincrement=True,
)

shipped_roots = Table(
    "shipped_roots",
    metadata,
    Column("purpose", Text, primary_key=True),
    Column("version", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
)

acme_settings = Table(
    "acme_settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("document", JSON, nullable=False),
    Column("sealed_secrets", LargeBinary, nullable=False),
    Column("revision", BigInteger, nullable=False),
)

acme_accounts = Table(
    "acme_accounts",
    metadata,
    Column("directory", Text, primary_key=True),
    Column("url", Text, nullable=True),
    Column("state", Text, nullable=False),
    Column("contact", JSON, nullable=False),
    Column("sealed_key", LargeBinary, nullable=False),
    Column("sealed_next_key", LargeBinary, nullable=True),
    Column("created_at", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("wish", Text, nullable=True),
    Column("failures", JSON, nullable=True),
    Column("next_try", BigInteger, nullable=True),
)

acme_orders = Table(
    "acme_orders",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("names", JSON, nullable=False),
    Column("tenant", Name, nullable=True, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("managed", Boolean, nullable=False),
    Column("demand", Text, nullable=True),
    Column("attempt", JSON(none_as_null=True), nullable=True),
    Column("records", JSON(none_as_null=True), nullable=True),
    Column("certified", JSON(none_as_null=True), nullable=True),
    Column("certificate", Name, nullable=True, index=True),
    Column("renewal_window", JSON(none_as_null=True), nullable=True),
    Column("failures", JSON(none_as_null=True), nullable=True),
    Column("next_try", BigInteger, nullable=True, index=True),
    Column("next_inquiry", BigInteger, nullable=True, index=True),
)

acme_tokens = Table(
    "acme_tokens",
    metadata,
    Column("token", Text, primary_key=True),
    Column("key_authorization", Text, nullable=False),
    Column("of_order", Text, nullable=False, index=True),
    Column("expires", BigInteger, nullable=False, index=True),
)

acme_revocations = Table(
    "acme_revocations",
    metadata,
    Column("certificate", Text, primary_key=True),
    Column("of_order", Text, nullable=False),
    Column("directory", Text, nullable=False),
    Column("chain", Text, nullable=False),
    Column("reason", Integer, nullable=False),
    Column("next_try", BigInteger, nullable=False, index=True),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
)
