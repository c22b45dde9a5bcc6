"""What follows a renewal: the former certificate is revoked where that is wished, and goes.

Under the lease of `trust.acme`, by the thread that renews.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from shaken.audit import SYSTEM, Action, Unchanged, changing
from shaken.certificates import facts_of
from shaken.periods import Every
from trust.acme.account import Accounts
from trust.acme.fence import Fence
from trust.acme.problems import AcmeError
from trust.acme.revocation import Reason, revoke
from trust.certificate import leaf_of
from trust.keys import MasterKeys
from trust.store import acme_orders, acme_revocations, certificates
from trust.store.acme_revocations import Pending
from trust.store.database import Database

AGAIN = timedelta(hours=1)
"""When a revocation that failed is tried again."""

KEPT_EXPIRED = timedelta(days=7)
"""How long a certificate that was replaced is kept after it has expired."""

SWEEP = timedelta(hours=1)
"""How often expired certificates are looked for, among all that there are."""

BATCH = 50
"""Certificates that are looked after at a time."""

_log = logging.getLogger(__name__)


class Aftercare:
    """Looks after certificates that orders have replaced."""

    def __init__(
        self,
        database: Database,
        master: MasterKeys,
        *,
        roots: Callable[[], str],
        wait: Callable[[float], None],
        clock: Callable[[], datetime],
        is_steady: Callable[[float], bool] = lambda _now: True,
    ) -> None:
        """Take the store, what opens keys, and the roots (PEM) that authorities' TLS leads to.

        `wait` waits for some seconds; it raises when the worker ends. `is_steady` says whether to
        remove by this time of the clock.
        """
        self._database = database
        self._master = master
        self._roots = roots
        self._wait = wait
        self._clock = clock
        self._is_steady = is_steady
        self._sweeps = Every(SWEEP.total_seconds())

    def is_due(self) -> bool:
        """Say whether there is anything to do."""
        now = self._clock().timestamp()
        if self._sweeps.is_due(now=now):
            return True
        with self._database.reading() as connection:
            return bool(acme_revocations.ready(connection, now=int(now), limit=1))

    def run(self, fence: Fence) -> None:
        """Do it. Raises LeaseLost, StoreError."""
        self._revoke(fence)
        self._remove_expired(fence)

    def _revoke(self, fence: Fence) -> None:
        now = int(self._clock().timestamp())
        accounts = Accounts(fence, self._master, self._roots, self._clock)
        with self._database.reading() as connection:
            pending = acme_revocations.ready(connection, now=now, limit=BATCH)
        for each in pending:
            self._wait(0)
            fence.keep()
            leaf = leaf_of(each.chain)
            if leaf.not_valid_after_utc < self._clock() and self._is_steady(now):
                self._forget(each, fence)  # what has expired need not be revoked
                continue
            try:
                reason = Reason(each.reason)
                revoke(accounts, directory=each.directory, chain=each.chain, reason=reason)
            except AcmeError as error:
                _log.error("certificate %s is not revoked yet: %s", each.certificate, error)
                with fence.recording() as connection:
                    until = now + int(AGAIN.total_seconds())
                    acme_revocations.postpone(connection, each.certificate, until=until)
            else:
                _log.info("revoked certificate %s, which was replaced", each.certificate)
                self._forget(each, fence)

    def _forget(self, revoked: Pending, fence: Fence) -> None:
        # What is revoked goes first: killed in between, it is revoked again, and never presented.
        self._remove(revoked.certificate)
        with fence.recording() as connection:
            acme_revocations.remove(connection, revoked.certificate)

    def _remove_expired(self, fence: Fence) -> None:
        now = self._clock()
        if not self._is_steady(now.timestamp()):
            self._sweeps.done(now=now.timestamp())
            return
        with self._database.reading() as connection:
            replaced = acme_orders.replaced(connection, expired_by=_expired_by(now), limit=BATCH)
        for certificate in replaced:
            fence.keep()
            self._remove(certificate)
        if len(replaced) < BATCH:
            self._sweeps.done(now=self._clock().timestamp())

    def _remove(self, certificate: str) -> None:
        now = int(self._clock().timestamp())
        with self._database.reading() as connection:
            if certificates.get(connection, certificate) is None:
                return
        with changing(self._database, SYSTEM, now=now) as change:
            row = certificates.get(change.connection, certificate)
            if row is None:
                raise Unchanged
            certificates.remove(change, certificate)
            change.audit(
                Action.CERTIFICATE_DELETE, certificate, tenant=row.tenant, before=facts_of(row)
            )


def _expired_by(now: datetime) -> int:
    return int((now - KEPT_EXPIRED).timestamp())
