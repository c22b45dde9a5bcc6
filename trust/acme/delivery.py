"""How an issued certificate gets from an order to whoever stores certificates."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from trust.acme.problems import AcmeError, Problem
from trust.certificate import CertificateKind
from trust.store.database import Change


class NotKept(AcmeError):  # noqa: N818 - what the keeper says
    """A certificate is issued and cannot be stored. Its key stays; it is fetched again later."""

    def __init__(self, why: str) -> None:
        super().__init__(Problem("not-stored", f"the certificate is issued, but not stored: {why}"))


@dataclass(frozen=True)
class Delivery:
    """A certificate that has come: its chain in PEM, leaf first.

    The key waits in the request for the same public key (`trust.store.requests`).
    """

    kind: CertificateKind
    tenant: str | None
    chain: str


class Certificates(Protocol):
    """Whoever stores certificates."""

    def keep(self, delivery: Delivery, *, settle: Callable[[Change, str], None]) -> None:
        """Store a certificate with the key of its request, and remove the request.

        All in one change, in which `settle` is called with the certificate's id. Raises NotKept;
        then nothing is stored.
        """
