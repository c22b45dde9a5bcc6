"""What moving orders needs from outside: the store, the settings, the world's clock and DNS."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from trust.acme.challenges import Publisher
from trust.acme.delivery import Certificates
from trust.acme.fence import Fence
from trust.acme.order import Order
from trust.acme.settings import AcmeSettings
from trust.keys import MasterKeys
from trust.store import acme_orders


class SelfCheck(Protocol):
    """Looks for a challenge as the authority will (RFC 8555 §8.3)."""

    def __call__(self, *, name: str, token: str, key_authorization: str) -> str | None:
        """Say what is wrong; None: nothing speaks against asking the authority."""


class CaaCheck(Protocol):
    """Looks at a name's CAA records as the authority will (RFC 8659)."""

    def __call__(self, *, name: str) -> str | None:
        """Say what forbids to certify a name that dns-01 proves; None: nothing.

        `name` may be a wildcard.
        """


class Schedule(Protocol):
    """When an order is tried (again). It has no clock of its own."""

    def next_try(self, order: Order, *, now: datetime) -> datetime:
        """Return when, given the order's certificate, window, failures and demand."""

    def next_inquiry(
        self, order: Order, *, now: datetime, retry_after: datetime | None
    ) -> datetime | None:
        """Return when to ask for renewal information again; None: no more."""


@dataclass(frozen=True)
class Means:
    """Everything at hand for one run. `wait` waits for some seconds; `roots` is a PEM bundle."""

    fence: Fence
    keys: MasterKeys
    settings: AcmeSettings
    roots: Callable[[], str]
    certificates: Certificates
    schedule: Schedule
    clock: Callable[[], datetime]
    wait: Callable[[float], None]
    publisher: Publisher | None = None
    self_check: SelfCheck | None = None
    caa_check: CaaCheck | None = None

    @property
    def now(self) -> int:
        """The time in Unix seconds."""
        return int(self.clock().timestamp())

    def save(self, order: Order) -> Order:
        """Write how far an order is; return it as it is then. Raises LeaseLost, StoreError."""
        with self.fence.recording() as connection:
            return acme_orders.save(connection, order)

    def current(self, order: Order) -> Order:
        """Return an order as the store has it."""
        with self.fence.database.reading() as connection:
            return acme_orders.get(connection, order.id) or order
