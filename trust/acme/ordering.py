"""How an order moves: from a new key to a stored certificate, one kept step after the other.

Each step is in the store before the next thing is done (`trust.acme.order.State`), so an order
whose process was killed goes on from its row: the same order at the authority while that can go
on, the same key as long as a certificate for it may exist.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from cryptography import x509

from trust.acme import attempts
from trust.acme.account import Accounts, Session
from trust.acme.authority_client import PlacedOrder
from trust.acme.chains import choose, read_chain
from trust.acme.challenges import PublicationError
from trust.acme.delivery import Delivery
from trust.acme.means import Means
from trust.acme.order import (
    UNDER_WAY,
    Attempt,
    Certified,
    Failures,
    Order,
    State,
    Window,
)
from trust.acme.outcomes import AttemptOver, OrderLost
from trust.acme.problems import AcmeError, AuthorityRefused, Problem, is_transient
from trust.acme.proving import check_provable, prove, tidy
from trust.acme.waiting import settled
from trust.certificate import leaf_of
from trust.store import acme_orders, certificates, requests
from trust.store.database import Change

ABANDONED_AFTER = 8 * 24 * 3600
"""Seconds after which an attempt is given up. Let's Encrypt keeps an order for 7 days."""

GONE = frozenset({404, 410})
"""Statuses by which an authority says that it has no such order."""

NO_SUCH_ACCOUNT = "accountDoesNotExist"
"""What an authority says that has lost an account (RFC 8555 §6.7)."""

PROVING = frozenset({State.ORDERED, State.AUTHORIZING})
"""States in which the authority has an order, and no request yet."""

ALIVE = frozenset({"pending", "ready", "processing", "valid"})
"""How an order stands of which a certificate may come: with RFC 8555 §7.1.6, all but `invalid`."""

TIDY_AGAIN = 3600
"""Seconds after which records are withdrawn again that could not be."""

REPLACES_REFUSED = frozenset({"alreadyReplaced", "malformed", "unauthorized"})
"""Refusals that may be about the certificate that is replaced (RFC 9773 §5)."""


@dataclass(frozen=True)
class Ordering:
    """Moves orders. `left` says by order why DNS records could not be withdrawn."""

    means: Means
    left: dict[str, str] = field(default_factory=dict)

    def proceed(self, order: Order) -> Order:
        """Move an order as far as it goes now: to a certificate, to its end, or to a later try.

        A failure is kept with the order. Raises LeaseLost, MasterKeyError, StoreError; then the
        order goes on from its row.
        """
        try:
            return self._proceed(order)
        except AcmeError as error:
            return self._failed(self.means.current(order), error)

    def _proceed(self, order: Order) -> Order:
        if order.state in UNDER_WAY and self._is_abandoned(order):
            order = attempts.lose(self.means, order, state=State.WAITING)
        if not order.managed:
            return self._stop(order)
        if order.records and order.state is not State.AUTHORIZING:
            order = self._try_to_tidy(order)
        if order.state not in UNDER_WAY:
            order = self._planned(order)
        if not self._is_due(order):
            return self._inquired(order)
        with self._accounts.session(self.means.settings) as session:
            order = self._run(order, session)
            return self._ask_for_window(order, session)

    @property
    def _accounts(self) -> Accounts:
        means = self.means
        return Accounts(means.fence, means.keys, means.roots, means.clock)

    def _run(self, order: Order, session: Session) -> Order:
        if order.attempt is not None and order.attempt.account != session.account:
            order = attempts.lose(self.means, order, state=State.WAITING)
        if order.state in PROVING:
            order = self._unless_over(order, session)
        if order.state not in UNDER_WAY:
            check_provable(self.means, order)
            order = attempts.begin(self.means, order, account=session.account)
        steps = {
            State.PREPARED: self._place,
            State.ORDERED: self._prove,
            State.AUTHORIZING: self._prove,
            State.FINALIZING: self._finalize,
        }
        while order.managed and (step := steps.get(order.state)) is not None:
            order = step(order, session)
        return order if order.managed else self._stop(order)

    def _unless_over(self, order: Order, session: Session) -> Order:
        """End an attempt of an earlier run that ended at the authority meanwhile.

        Nothing was refused, so it counts as no failure: another attempt begins at once.
        """
        try:
            if self._look(order, session).status in ALIVE:
                return order
        except OrderLost:
            pass
        return self._try_to_tidy(attempts.end(self.means, order, state=State.WAITING))

    def _place(self, order: Order, session: Session) -> Order:
        placed = self._placed(order, session)
        attempt = replace(_attempt(order), url=placed.url)
        return self.means.save(replace(order, state=State.ORDERED, attempt=attempt))

    def _placed(self, order: Order, session: Session) -> PlacedOrder:
        profile = self.means.settings.profile
        former = self._certificate(order)
        try:
            try:
                return session.client.place_order(order.names, profile=profile, replaces=former)
            except AuthorityRefused as error:
                if former is None or error.problem.type not in REPLACES_REFUSED:
                    raise
                return session.client.place_order(order.names, profile=profile, replaces=None)
        except AuthorityRefused as error:
            if is_transient(error):
                raise
            raise AttemptOver(error.problem) from error

    def _prove(self, order: Order, session: Session) -> Order:
        placed = self._look(order, session)
        if placed.status == "pending":
            order = prove(self.means, order, placed, session.client)
            placed = self._past(order, session, "pending")
        if placed.status not in ALIVE:
            raise AttemptOver(placed.problem or _no_reason())
        return self._try_to_tidy(self.means.save(replace(order, state=State.FINALIZING)))

    def _finalize(self, order: Order, session: Session) -> Order:
        attempt = _attempt(order)
        with self.means.fence.database.reading() as connection:
            request = requests.get(connection, attempt.request)
        if request is None:
            words = "the request of this order was deleted, and its key with it"
            raise AttemptOver(Problem("no-key", words))
        placed = self._look(order, session)
        if placed.status == "ready":
            csr = x509.load_pem_x509_csr(request.csr.encode())
            placed = self._handed_in(order, placed, csr, session)
        elif placed.status == "processing":  # it was handed in before
            placed = self._decided(order, session)
        if placed.status == "pending":  # an authorization is valid no more
            return self.means.save(replace(order, state=State.AUTHORIZING))
        if placed.certificate is None:
            raise AttemptOver(placed.problem or _no_reason())
        any_chain = self.means.settings.preferred_chain is None
        chains = session.client.chains_at(placed.certificate, alternates=not any_chain)
        return self._deliver(order, chains)

    def _handed_in(
        self,
        order: Order,
        placed: PlacedOrder,
        csr: x509.CertificateSigningRequest,
        session: Session,
    ) -> PlacedOrder:
        """Hand in the request, and wait until the authority has decided."""
        try:
            placed = session.client.finalize(placed, csr)
        except AuthorityRefused as error:
            placed = self._look(order, session)
            if placed.status == "invalid":
                raise AttemptOver(placed.problem or error.problem) from error
            if placed.status == "ready" and not is_transient(error):
                raise AttemptOver(error.problem) from error
            if placed.status == "ready":
                raise
        return self._decided(order, session)

    def _decided(self, order: Order, session: Session) -> PlacedOrder:
        return self._past(order, session, "ready", "processing")

    def _past(self, order: Order, session: Session, *statuses: str) -> PlacedOrder:
        """Wait until the authority has an order past some statuses; return how it stands then."""
        return settled(
            lambda: self._look(order, session),
            is_settled=lambda each: each.status not in statuses,
            retry_after=lambda each: each.retry_after,
            clock=self.means.clock,
            wait=self.means.wait,
        )

    def _look(self, order: Order, session: Session) -> PlacedOrder:
        try:
            return session.client.order_at(_attempt(order).url or "")
        except AuthorityRefused as error:
            if error.problem.status in GONE:
                raise OrderLost(error.problem) from error
            raise

    def _deliver(self, order: Order, chains: Sequence[str]) -> Order:
        means, attempt = self.means, _attempt(order)
        preferred = means.settings.preferred_chain
        pem = choose(chains, preferred=preferred, request=attempt.request)
        leaf = read_chain(pem, request=attempt.request)[0]

        def settle(change: Change, certificate: str) -> None:
            means.fence.check(change.connection)
            acme_orders.settle(change.connection, self._issued(order, leaf, certificate))

        delivery = Delivery(kind=order.kind, tenant=order.tenant, chain=pem)
        means.certificates.keep(delivery, settle=settle)
        return means.current(order)

    def _issued(self, order: Order, leaf: x509.Certificate, certificate: str) -> Order:
        issued = replace(
            order,
            state=State.ISSUED,
            attempt=None,
            certified=Certified(
                certificate=certificate,
                directory=_attempt(order).directory,
                not_before=int(leaf.not_valid_before_utc.timestamp()),
                not_after=int(leaf.not_valid_after_utc.timestamp()),
                obtained_at=self.means.now,
            ),
            demand=None,
            window=None,
            failures=None,
            next_inquiry=self.means.now,
        )
        return replace(issued, next_try=self._next_try(issued))

    def _inquired(self, order: Order) -> Order:
        """Ask for the window, if it is time. An authority that is down fails no certificate."""
        if not self._is_to_be_asked_about(order):
            return order
        try:
            with self._accounts.session(self.means.settings) as session:
                return self._ask_for_window(order, session)
        except AcmeError as error:
            return self._asked(order, order.window, retry_after=error.problem.retry_after)

    def _ask_for_window(self, order: Order, session: Session) -> Order:
        """Ask the authority when it wants to renew. That it cannot say is no failure."""
        certificate = self._certificate(order)
        if not self._is_to_be_asked_about(order) or order.certified is None:
            return order
        retry_after, found = None, None
        window = order.window
        if certificate is not None:
            try:
                found = session.client.renewal_information(certificate)
            except AcmeError as error:
                retry_after = error.problem.retry_after
        if found is not None:
            window = Window(
                int(found.start.timestamp()), int(found.end.timestamp()), found.explanation
            )
            retry_after = found.retry_after
        return self._asked(order, window, retry_after=retry_after)

    def _asked(self, order: Order, window: Window | None, *, retry_after: datetime | None) -> Order:
        """Keep what is suggested by now, and when to ask again."""
        now = self.means.clock()
        again = self.means.schedule.next_inquiry(order, now=now, retry_after=retry_after)
        next_inquiry = None if again is None else int(again.timestamp())
        if order.records:  # what could not be withdrawn is tried sooner
            soon = self.means.now + TIDY_AGAIN
            next_inquiry = soon if next_inquiry is None else min(next_inquiry, soon)
        asked = replace(order, window=window, next_inquiry=next_inquiry)
        return self._planned(self.means.save(asked))

    def _certificate(self, order: Order) -> x509.Certificate | None:
        """Return the certificate in service, if this authority issued it."""
        certified = order.certified
        if certified is None or certified.directory != self.means.settings.directory_url:
            return None
        with self.means.fence.database.reading() as connection:
            chain = certificates.chain_pem(connection, certified.certificate)
        return None if chain is None else leaf_of(chain)

    def _failed(self, order: Order, error: AcmeError) -> Order:
        """Keep why an order did not get further, and when it is tried again."""
        if error.problem.type == NO_SUCH_ACCOUNT:
            self._accounts.forget_url(self.means.settings.directory_url)
        count = 1 if order.failures is None else order.failures.count + 1
        order = replace(order, failures=Failures(count, self.means.now, error.problem))
        if isinstance(error, OrderLost):
            order = attempts.lose(self.means, order, state=State.FAILED)
        elif isinstance(error, AttemptOver) or order.state not in UNDER_WAY:
            order = attempts.end(self.means, order, state=State.FAILED)
        order = self.means.save(replace(order, next_try=self._next_try(order)))
        return order if order.state in UNDER_WAY else self._try_to_tidy(order)

    def _stop(self, order: Order) -> Order:
        """End whatever is under way; the certificate in service stays."""
        if order.state in UNDER_WAY:
            order = attempts.lose(self.means, order, state=State.WAITING)
        order = tidy(self.means, order)
        with self.means.fence.recording() as connection:
            return acme_orders.end(connection, order, now=self.means.now)

    def _try_to_tidy(self, order: Order) -> Order:
        """Take back what was published; what cannot be is tried again later."""
        try:
            return tidy(self.means, order)
        except PublicationError as error:
            self.left[order.id] = str(error)
            again = self.means.now + TIDY_AGAIN
            return self.means.save(replace(order, next_inquiry=again))

    def _planned(self, order: Order) -> Order:
        """Bring the time of the next try up to date."""
        next_try = self._next_try(order)
        if next_try == order.next_try or (self._is_due(order) and next_try <= self.means.now):
            return order
        return self.means.save(replace(order, next_try=next_try))

    def _next_try(self, order: Order) -> int:
        return int(self.means.schedule.next_try(order, now=self.means.clock()).timestamp())

    def _is_due(self, order: Order) -> bool:
        return order.next_try is not None and order.next_try <= self.means.now

    def _is_to_be_asked_about(self, order: Order) -> bool:
        at = order.next_inquiry
        return order.state is State.ISSUED and at is not None and at <= self.means.now

    def _is_abandoned(self, order: Order) -> bool:
        attempt = _attempt(order)
        other = attempt.directory != self.means.settings.directory_url
        return other or self.means.now - attempt.started_at > ABANDONED_AFTER


def _attempt(order: Order) -> Attempt:
    if order.attempt is None:
        raise AttemptOver(Problem("no-attempt", "the order has lost what was under way"))
    return order.attempt


def _no_reason() -> Problem:
    return Problem("invalid", "the authority ended the order without saying why")
