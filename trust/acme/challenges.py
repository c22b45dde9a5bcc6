"""What proves to an authority that a name is ours: http-01 and dns-01 (RFC 8555 §8.3, §8.4).

Which of them answers for a name is `trust.acme.settings`'s choice. The values for http-01 are kept
in the store, so that any worker or node answers; records for dns-01 are handed to a `Publisher`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from trust.acme.problems import AcmeError, Problem


class ChallengeType(StrEnum):
    """How a name is proven."""

    HTTP = "http-01"
    DNS = "dns-01"


@dataclass(frozen=True)
class TxtRecord:
    """A TXT record: name of the record, and its one text."""

    name: str
    value: str


class Publisher(Protocol):
    """Whoever can put TXT records into the DNS.

    Each method takes all records of an order, raises PublicationError, and may be called again
    with the same records. Several threads call it, each with another order.
    """

    def publish(self, records: Sequence[TxtRecord]) -> None:
        """Add these records; others of the same name stay."""

    def withdraw(self, records: Sequence[TxtRecord]) -> None:
        """Remove these records, of which some may be gone or never were."""

    def await_propagation(self, records: Sequence[TxtRecord]) -> None:
        """Return when all the authoritative servers have these records."""


class PublicationError(AcmeError):
    """Records cannot be published, seen or withdrawn."""

    def __init__(self, detail: str) -> None:
        super().__init__(Problem("dns-publication", detail))
