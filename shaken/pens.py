"""What signs for a tenant: the certificate that is chosen, its key opened, and why there is none.

`Pens` joins the rules of `trust.selection` with the keys of a snapshot, and remembers what they
come to. It reads no clock and no database; the snapshot and the time come with each question.
"""

import logging
import math
from collections.abc import Container, Sequence
from dataclasses import dataclass, field

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from shaken.addresses import chain_url
from shaken.attestation import NO_NUMBERS, OwnNumbers
from shaken.passport import DivClaims, Party, ShakenClaims, header_segment
from shaken.signing_errors import BeyondCertificate, NotConfigured
from shaken.snapshot import Snapshot, sti_candidate
from shaken.tenants import Tenant
from sip.identity import Identity
from trust.certificate import CertificateKind
from trust.keys import MasterKeys, SealError, unseal_private_key
from trust.selection import Appraisal, Choice, Chosen, Fallback, StiCandidate
from trust.sti_path import Mandate
from trust.store.certificates import StoredCertificate

RETRY_SECONDS = 5
"""After a call could not be signed, how long its tenant's others are refused without a try."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pen:
    """A certificate ready to sign: its key parsed, what is the same in each token made once.

    `mandate` None: it may sign all calls, as a provider's certificate does. What each call needs
    comes first and at first hand, the id too: `row` is memory that a call need not touch.
    """

    certificate: str
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    header: str
    parameters: str
    mandate: Mandate | None
    x5u: str
    row: StoredCertificate

    def check(self, speaker: Party, claims: ShakenClaims | DivClaims) -> None:
        """Raise BeyondCertificate unless these claims may be signed, where `speaker` signs."""
        if self.mandate is None:
            return
        objection = self.mandate.objection(
            number=speaker.number, claims=msgspec.to_builtins(claims)
        )
        if objection is not None:
            raise BeyondCertificate(self.certificate, objection)


@dataclass(frozen=True, slots=True)
class Hand:
    """What all calls of one tenant share for a while, made at the first of them.

    With ten thousand tenants a call meets memory that no call before it has met. Here is all that
    is needed in one place, where rows and rules lie scattered.
    """

    pen: Pen
    chosen: Chosen
    numbers: OwnNumbers


class Pens:
    """The certificates of a snapshot as they sign; keys are opened when first used."""

    def __init__(self, master: MasterKeys, *, public_url: str, fallback: Fallback) -> None:
        """Take what opens the keys, the base URL where the chains are published, and the fallback.

        The fallback holds for tenants that do not turn it off.
        """
        self._master = master
        self._public_url = public_url
        self._fallback = fallback
        self._pens: dict[str, Pen] = {}
        self._held: dict[str | None, Hand] = {}
        self._refusals: dict[str | None, tuple[int, str]] = {}
        self._held_of: Snapshot | None = None
        self._held_period = (math.inf, math.inf)

    def hand(self, snapshot: Snapshot, address: str | None, now: int) -> Hand:
        """Return what signs for a tenant by its first address, None: for nobody in particular.

        `now` is Unix seconds. Raises NotConfigured.
        """
        begin, end = self._held_period
        if self._held_of is not snapshot or not begin <= now < end:
            self._held, self._refusals = {}, {}
            self._held_of = snapshot
            self._held_period = snapshot.sti.period(now)
        hand = self._held.get(address)
        if hand is None:
            hand = self._held[address] = self._new_hand(snapshot, address, now)
        return hand

    def x5u_of(self, row: StoredCertificate) -> str | None:
        """Return the URL a signature names for this certificate, None: there is none."""
        return chain_url(self._public_url, row.id) if row.x5u is None else row.x5u

    def choice_for(self, snapshot: Snapshot, tenant: Tenant | None, *, now: int) -> Choice | None:
        """Choose what signs for a tenant (None: nobody's call); None: no certificate can."""
        addresses = () if tenant is None else tenant.addresses
        return snapshot.sti.for_tenant(addresses, now=now, fallback=self._fallback_for(tenant))

    def appraise(
        self, snapshot: Snapshot, tenant: Tenant | None, *, now: int
    ) -> Sequence[Appraisal]:
        """Say of each STI certificate why `choice_for` chooses it, or not."""
        addresses = () if tenant is None else tenant.addresses
        return snapshot.sti.appraise(addresses, now=now, fallback=self._fallback_for(tenant))

    def _fallback_for(self, tenant: Tenant | None) -> Fallback:
        if tenant is not None and tenant.fallback is Fallback.NONE:
            return Fallback.NONE
        return self._fallback

    def why_not_ready(self, snapshot: Snapshot, *, now: int) -> str | None:
        """Say why no call could be signed now, or None: some could."""
        usable = [
            row
            for row in snapshot.certificates.values()
            if row.kind is CertificateKind.STI and sti_candidate(row).usable(now)
        ]
        if not usable:
            return "no STI certificate with a key is valid now; import one"
        if not any(self.x5u_of(row) for row in usable):
            return _NO_X5U
        return None

    def forget_all_but(self, kept: Container[str]) -> None:
        """Drop the keys of certificates that are gone, and what was remembered with them."""
        self._pens = {name: pen for name, pen in self._pens.items() if name in kept}
        self._held, self._refusals = {}, {}

    def _new_hand(self, snapshot: Snapshot, address: str | None, now: int) -> Hand:
        """Make a tenant's hand; what cannot be made is tried again, and logged, after a while.

        Each try may read the file of the master keys, and calls may come by the thousand.
        """
        tried, refusal = self._refusals.get(address, (-math.inf, ""))
        if tried <= now < tried + RETRY_SECONDS:
            raise NotConfigured(refusal)
        tenant = None if address is None else snapshot.tenants[address]
        try:
            candidate, chosen = self._choose(snapshot, tenant, now)
            pen = self._pen(snapshot.certificates[candidate.id])
        except NotConfigured as error:
            self._refusals[address] = now, str(error)
            _log.error("calls are not signed: %s", error)
            raise
        return Hand(pen, chosen, NO_NUMBERS if tenant is None else tenant.own_numbers)

    def _choose(
        self, snapshot: Snapshot, tenant: Tenant | None, now: int
    ) -> tuple[StiCandidate, Chosen]:
        choice = self.choice_for(snapshot, tenant, now=now)
        if choice is None:
            who = "this call" if tenant is None else tenant.address
            turned_off = self._fallback_for(tenant) is Fallback.NONE and len(snapshot.sti) > 0
            why = " and the fallback to others is off" if turned_off else ""
            raise NotConfigured(
                f"no STI certificate with a key is valid now for {who}{why}; import one"
            )
        return choice.candidate, choice.chosen

    def _pen(self, row: StoredCertificate) -> Pen:
        pen = self._pens.get(row.id)
        if pen is not None and pen.row is row:
            return pen
        if row.sealed_key is None:
            raise NotConfigured(f"certificate {row.id} has no private key here; import it with one")
        x5u = self.x5u_of(row)
        if x5u is None:
            raise NotConfigured(_NO_X5U)
        # A leaf has one key, however it is sealed: a row written anew brings no other.
        key = self._open(row.id, row.sealed_key) if pen is None else pen.key
        header, parameters = header_segment(x5u=x5u, ppt="shaken"), parameters_of(x5u, "shaken")
        mandate = Mandate.read(
            row.subject, tn_auth_list=row.tn_auth_list, constraints=row.claim_constraints
        )
        bound = None if mandate.is_general else mandate
        pen = Pen(row.id, key, header, parameters, bound, x5u, row)
        self._pens[row.id] = pen
        return pen

    def _open(self, certificate: str, sealed: bytes) -> ec.EllipticCurvePrivateKey:
        try:
            key = unseal_private_key(self._master, sealed, record=certificate)
        except SealError as error:
            raise NotConfigured(f"the key of certificate {certificate} cannot be opened") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise NotConfigured(f"certificate {certificate} has no P-256 key, SHAKEN needs one")
        return key


_NO_X5U = (
    "no URL is known where verifiers find the certificate: set public_url to the https URL of"
    " this service as carriers reach it, or import the certificate with its own x5u"
)


def parameters_of(x5u: str, ppt: str) -> str:
    """Return what follows a token of this certificate in an Identity header: `;info=` and so on."""
    placeholder = "e30.e30.e30"
    header = str(Identity(token=placeholder, info=x5u, alg="ES256", ppt=ppt))
    return header.removeprefix(placeholder)
