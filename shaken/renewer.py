"""The thread of a worker that obtains and renews certificates. `start`, then `close`.

Every worker of every node has one; a lease in the store lets one of them at a time work. What it
does is kept step by step, so that it may be ended at any moment, with its process too.
"""

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import TypeVar

from shaken.aftercare import Aftercare
from shaken.audit import Action, record_event
from shaken.config import Config
from shaken.examination import Examination
from shaken.renewing import (
    Keeper,
    Schedule,
    Unusable,
    allowed_dns,
    caa_check,
    plan_of,
    self_check,
)
from shaken.revoked import Revoked, list_fetcher
from shaken.trouble import Trouble
from trust.acme.account import Accounts
from trust.acme.challenges import Publisher
from trust.acme.dns.reading import DnsSettingsError
from trust.acme.events import Event, Failed, Issued, LeftBehind, Renewed, Stopped
from trust.acme.fence import Busy, Fence, alone
from trust.acme.means import Means
from trust.acme.order import Order
from trust.acme.renewal import Plan, Urgency
from trust.acme.runner import Run, run_due
from trust.acme.settings import AcmeSettings
from trust.acme.wishes import Outcome, carry_out
from trust.keys import MasterKeyError, MasterKeys
from trust.roots import Purpose
from trust.store import acme_accounts, acme_orders, acme_settings, leases, roots
from trust.store.database import Database, StoreError
from trust.store.leases import LeaseLost

POLL_SECONDS = 1.0
"""How often the store is asked for orders that are due."""

BUSY_SECONDS = 5.0
"""How long to wait where another worker is at work: not long beside the lease of a killed one."""

PAUSE_SECONDS = 15.0
"""How long to wait where something failed, or cannot be done yet."""

QUIET_SECONDS = 3600
"""How often the audit says of one order that it fails; the log says it each time."""

END_SECONDS = 2.0
"""How long a worker that ends waits for its thread; a step that takes longer is made again."""

_log = logging.getLogger(__name__)


def _utc_now() -> datetime:
    return datetime.now(UTC)


_Done = TypeVar("_Done")


class Ending(BaseException):
    """The worker ends while an order waits; the order goes on later, from its row."""


class Renewer:
    """Moves the orders that are due, again and again."""

    def __init__(
        self,
        config: Config,
        database: Database,
        master: MasterKeys,
        *,
        agent: str,
        clock: Callable[[], datetime] = _utc_now,
        is_steady: Callable[[float], bool] = lambda _now: True,
    ) -> None:
        """Take the settings, the store and what opens and seals keys.

        `agent` is what the service calls itself to hosts of revocation lists; `is_steady` says
        whether to remove by this time of the clock.
        """
        self._config = config
        self._database = database
        self._master = master
        self._clock = clock
        self._holder = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="renewer", daemon=True)
        self._fence: Fence | None = None
        self._examination = Examination(
            database, interval=timedelta(hours=config.acme.examine_hours), clock=clock
        )
        self._revoked = Revoked(
            database,
            fetch=list_fetcher(config.fetch, roots=self._roots, agent=agent),
            roots=self._roots,
            interval=timedelta(hours=config.acme.examine_hours),
            clock=clock,
        )
        self._aftercare = Aftercare(
            database,
            master,
            roots=self._roots,
            wait=self._wait,
            clock=clock,
            is_steady=is_steady,
        )

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End; what is under way goes on in another worker, or after the next start."""
        self._ending.set()
        self._thread.join(END_SECONDS)
        fence = self._fence
        if not self._thread.is_alive() or fence is None:
            return
        try:
            with self._database.recording() as connection:
                leases.release(connection, fence.lease)
        except StoreError as error:
            _log.warning("the lease on orders runs out by itself: %s", error)

    def _run(self) -> None:
        trouble = Trouble()
        pause = 0.0
        while not self._ending.wait(pause):
            try:
                pause = self._round()
            except Ending:
                return
            except (StoreError, MasterKeyError, LeaseLost) as error:
                pause = PAUSE_SECONDS
                is_given_back = isinstance(error, LeaseLost) and self._ending.is_set()
                if not is_given_back and trouble.is_to_be_said(now=time.monotonic()):
                    _log.error("certificates are not renewed: %s", error)
            except Exception:
                # Without this thread no certificate is renewed any more.
                pause = PAUSE_SECONDS
                _log.exception("renewing certificates failed")
            else:
                if trouble.is_over():
                    _log.warning("certificates are renewed again")

    def _round(self) -> float:
        """Do what is due; return how many seconds to wait before the next round."""
        # What is asked of accounts comes before orders, which are made with them; then orders: no
        # certificate expires because a former one cannot be looked after.
        self._look_after_accounts()
        pause = self._move_orders()
        if self._examination.is_due():
            self._alone(self._examination.run)
        if self._revoked.is_due():
            self._revoked.step()
        if self._aftercare.is_due():
            self._alone(self._aftercare.run)
        return pause

    def _alone(self, work: Callable[[Fence], _Done]) -> _Done | None:
        """Work under the lease, which `close` gives back; None: another worker is at work."""
        try:
            with alone(self._database, holder=self._holder, clock=self._clock) as self._fence:
                return work(self._fence)
        except Busy:
            return None
        finally:
            self._fence = None

    def _look_after_accounts(self) -> None:
        now = int(self._clock().timestamp())
        with self._database.reading() as connection:
            if not acme_accounts.wanted(connection, now=now):
                return
        self._alone(self._carry_out)

    def _carry_out(self, fence: Fence) -> None:
        for outcome in carry_out(Accounts(fence, self._master, self._roots, self._clock)):
            _tell(outcome)

    def _move_orders(self) -> float:
        now = int(self._clock().timestamp())
        with self._database.reading() as connection:
            if not acme_orders.due(connection, now=now, limit=1):
                return POLL_SECONDS
        done = self._alone(self._run_due)
        if done is None:
            return BUSY_SECONDS
        if done.orders == 0 and not done.is_more_due:
            return PAUSE_SECONDS
        return 0.0 if done.is_more_due else POLL_SECONDS

    def _run_due(self, fence: Fence) -> Run:
        return run_due(fence, equip=self._equip, report=self._report)

    def _equip(self, fence: Fence) -> Means | None:
        with self._database.reading() as connection:
            settings = acme_settings.load(connection, self._master)
        if settings is None:
            return None
        acme = self._config.acme
        return Means(
            fence=fence,
            keys=self._master,
            settings=settings,
            roots=self._roots,
            certificates=Keeper(self._database, self._master, self._clock),
            schedule=Schedule(),
            clock=self._clock,
            wait=self._wait,
            publisher=self._publisher(settings),
            self_check=self_check(
                settings, nameservers=acme.nameservers(), http_port=acme.authority_port
            ),
            caa_check=caa_check(settings, nameservers=acme.nameservers()),
        )

    def _publisher(self, settings: AcmeSettings) -> Publisher | None:
        if not settings.dns:
            return None
        # Loads the library of all providers, which a service without dns-01 need not.
        publishing = import_module("trust.acme.dns.publishers")
        try:
            allowed = allowed_dns(settings.dns, hooks=self._config.acme.hooks)
        except DnsSettingsError as error:
            # The orders that need records say so; all others go on.
            return Unusable(f"the settings (dns.{error.field}): {error}")
        publisher: Publisher = publishing.publisher_for(allowed, wait=self._wait)
        return publisher

    def _roots(self) -> str:
        """Return what the authority's own TLS must lead to."""
        with self._database.reading() as connection:
            return roots.trusted_pem(connection, Purpose.TLS)

    def _wait(self, seconds: float) -> None:
        if self._ending.wait(seconds):
            raise Ending

    def _record(self, order: Order, why: str, plan: Plan) -> None:
        """Let admins find a failure in the audit."""
        record_event(
            self._database,
            Action.ORDER_FAIL,
            order.id,
            detail={
                "names": order.names,
                "why": why,
                "urgency": plan.urgency.value,
                "next": plan.words,
            },
            now=int(self._clock().timestamp()),
            quiet_seconds=QUIET_SECONDS,
            tenant=order.tenant,
        )

    def _report(self, event: Event) -> None:
        names = ", ".join(event.order.names)
        match event:
            case Issued(certificate=certificate):
                _log.info("obtained certificate %s for %s", certificate, names)
                self._say_if_premature(event.order)
            case Renewed(certificate=certificate, former=former):
                _log.info("renewed the certificate for %s: %s, was %s", names, certificate, former)
                self._say_if_premature(event.order)
            case Failed(problem=problem):
                plan = plan_of(event.order, now=self._clock())
                loud = plan.urgency in {Urgency.URGENT, Urgency.EXPIRED}
                level = logging.ERROR if loud else logging.WARNING
                words = "no certificate for %s: %s; %s"
                _log.log(level, words, names, problem.words, plan.words)
                self._record(event.order, problem.words, plan)
            case Stopped():
                _log.info("the certificate for %s is managed no more", names)
            case LeftBehind(why=why):
                _log.warning("DNS records for %s cannot be withdrawn yet: %s", names, why)

    def _say_if_premature(self, order: Order) -> None:
        """Let admins find a clock that is ahead, or an authority that suggests what is past."""
        plan = plan_of(order, now=self._clock())
        if plan.is_premature:
            _log.warning("the new certificate for %s: %s", ", ".join(order.names), plan.words)


def _tell(outcome: Outcome) -> None:
    """Log what became of what was asked of an account."""
    if outcome.problem is None:
        _log.info("%s of the account at %s is done", outcome.wish, outcome.directory)
        return
    again = "it stays as it was" if outcome.again is None else "it is tried again"
    _log.error(
        "%s of the account at %s failed: %s; %s",
        outcome.wish,
        outcome.directory,
        outcome.problem.words,
        again,
    )
