"""Which columns hold what a master key seals, and which keys their values name.

A table that keeps something sealed is listed in SEALED: what is not listed would stay under the
former key when the master key changes. The master key's own check is `master_key`'s.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, func, inspect, select

from trust.keys import HEADER_BYTES, MasterKeys, SealError, key_id_of
from trust.store.tables import (
    acme_accounts,
    acme_settings,
    certificate_requests,
    certificates,
    service_keys,
)


@dataclass(frozen=True)
class SealedColumn:
    """A column of sealed values, and the unique column that names the record of each.

    Its table has a `revision`, so that workers read anew what was sealed anew. `prefix` keeps the
    names of its records apart from those of other tables.
    """

    value: Column[Any]
    record: Column[Any]
    prefix: str = ""

    def name_of(self, record: str) -> str:
        """Return the name that the value of a record is sealed for."""
        return f"{self.prefix}{record}"


CERTIFICATE_KEYS = SealedColumn(certificates.c.sealed_key, certificates.c.id)
REQUEST_KEYS = SealedColumn(
    certificate_requests.c.sealed_key, certificate_requests.c.id, prefix="request:"
)
SERVICE_KEYS = SealedColumn(service_keys.c.sealed, service_keys.c.name, prefix="service-key:")
ACME_SECRETS = SealedColumn(
    acme_settings.c.sealed_secrets, acme_settings.c.name, prefix="acme-settings:"
)
ACME_KEYS = SealedColumn(
    acme_accounts.c.sealed_key, acme_accounts.c.directory, prefix="acme-account:"
)
ACME_NEXT_KEYS = SealedColumn(
    acme_accounts.c.sealed_next_key, acme_accounts.c.directory, prefix="acme-next-account-key:"
)

SEALED = (
    CERTIFICATE_KEYS,
    REQUEST_KEYS,
    SERVICE_KEYS,
    ACME_SECRETS,
    ACME_KEYS,
    ACME_NEXT_KEYS,
)

SAMPLES = 3
"""Values that are tried for each master key: one that is damaged says nothing of the key."""


def sealed_columns(connection: Connection) -> Sequence[SealedColumn]:
    """List the sealed columns of a store; one of an older version has not got all the tables."""
    there = inspect(connection)
    return [column for column in SEALED if there.has_table(column.value.table.name)]


def named_keys(connection: Connection) -> Mapping[str | None, int]:
    """Count the sealed values by the id of their master key; None: those that name none."""
    columns = sealed_columns(connection)
    return Counter(name for column in columns for name, _ in _headers(connection, column))


def not_at_hand(connection: Connection, keys: MasterKeys) -> Mapping[str | None, int]:
    """Count the values that none of these keys opens, by the id of the key that they need."""
    counts = named_keys(connection)
    missing = {}
    for column in sealed_columns(connection):
        for name, records in _samples(connection, column).items():
            query = select(column.record, column.value).where(column.record.in_(records))
            if not any(
                _opens(keys, sealed, column.name_of(record))
                for record, sealed in connection.execute(query)
            ):
                missing[name] = counts[name]
    return missing


def _samples(connection: Connection, column: SealedColumn) -> Mapping[str | None, Sequence[str]]:
    """Choose the records of a few values for each master key that is named."""
    chosen: defaultdict[str | None, list[str]] = defaultdict(list)
    for name, record in _headers(connection, column):
        if len(chosen[name]) < SAMPLES:
            chosen[name].append(record)
    return chosen


def _opens(keys: MasterKeys, sealed: bytes, record: str) -> bool:
    try:
        keys.unseal(sealed, record=record)
    except SealError:
        return False
    return True


def _headers(connection: Connection, column: SealedColumn) -> Iterator[tuple[str | None, str]]:
    header = func.substr(column.value, 1, HEADER_BYTES)
    query = select(column.record, header).where(column.value.is_not(None))
    for record, beginning in connection.execute(query):
        with suppress(SealError):  # no key's: it is damaged
            yield key_id_of(bytes(beginning), record=record), record
