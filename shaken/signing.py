"""A call becomes an Identity header: whose certificate, which attestation, signed when.

`Signer` joins the rules (`attestation`, `trust.selection`) with the keys of a snapshot. It reads
no clock and no database; the snapshot and the time come with each call.
"""

import logging
import math
from collections.abc import Container, Sequence
from dataclasses import dataclass, field

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from shaken.addresses import chain_url
from shaken.attestation import (
    NO_NUMBERS,
    Attest,
    AttestPolicy,
    ForeignAttest,
    OwnNumbers,
    Standing,
    attest_for,
    standing_of,
)
from shaken.passport import (
    DivClaims,
    Parties,
    Party,
    ShakenClaims,
    header_segment,
    is_origid,
    token_in_stages,
)
from shaken.snapshot import Snapshot, sti_candidate
from shaken.tenants import Tenant, Trunk
from sip.identity import Identity
from sip.stages import Stages
from trust.certificate import CertificateKind
from trust.keys import MasterKeys, SealError, unseal_private_key
from trust.selection import Appraisal, Choice, Chosen, Fallback, StiCandidate
from trust.sti_path import Mandate
from trust.store.certificates import StoredCertificate

RETRY_SECONDS = 5
"""After a call could not be signed, how long its tenant's others are refused without a try."""

_log = logging.getLogger(__name__)


class SigningError(Exception):
    """A call that is not signed; the message says why and what to do."""


class MissingClaim(SigningError):  # noqa: N818 - named for what is wrong with the call
    """The call leaves out what no trunk fills in; `claim` names it."""

    def __init__(self, claim: str) -> None:
        super().__init__(
            f"send {claim!r}, or use a credential of a trunk, whose settings fill it in"
        )
        self.claim = claim


class InvalidClaim(SigningError):  # noqa: N818 - named for what is wrong with the call
    """The call says what must not be signed; `claim` names it."""

    def __init__(self, claim: str, detail: str) -> None:
        super().__init__(detail)
        self.claim = claim


class NotAllowed(SigningError):  # noqa: N818 - named for what is wrong with the call
    """This call is refused, by the trunk's policy or since the certificate may not sign it."""


class BeyondCertificate(NotAllowed):
    """The certificate does not let its holder sign this call; verifiers would refuse it."""

    def __init__(self, certificate: str, objection: str) -> None:
        super().__init__(
            f"certificate {certificate} may not sign this call: {objection} Send a call that it"
            " may sign, or import a certificate for the tenant that may sign it"
        )


class NotConfigured(SigningError):  # noqa: N818 - named for what is wrong with the service
    """Nothing can sign this call until an administrator changes something."""


class OutboundCall(msgspec.Struct, frozen=True):
    """What a client wants signed. Numbers and URIs are canonical; None: to be filled in."""

    orig: Party
    dest: Parties
    iat: int | None = None
    attest: Attest | None = None
    origid: str | None = None


class Signed(msgspec.Struct, frozen=True):
    """A signed call: the Identity header's value, what it claims, and which certificate signed."""

    identity: str
    claims: ShakenClaims
    certificate: str
    chosen: Chosen


class SignedDiversion(msgspec.Struct, frozen=True):
    """A signed diversion: the Identity header's value, what it claims, and which certificate."""

    identity: str
    claims: DivClaims
    certificate: str


@dataclass(frozen=True, slots=True)
class SigningPolicy:
    """What holds for all calls: the fallback, and how far `iat` may lie from now, in seconds."""

    fallback: Fallback
    freshness: int
    skew: int


@dataclass(frozen=True, slots=True)
class _Pen:
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
class _Hand:
    """What all calls of one tenant share for a while, made at the first of them.

    With ten thousand tenants a call meets memory that no call before it has met. Here is all that
    is needed in one place, where rows and rules lie scattered.
    """

    pen: _Pen
    chosen: Chosen
    numbers: OwnNumbers


class Signer:
    """Signs calls with the certificates of a snapshot; keys are opened when first used."""

    def __init__(self, master: MasterKeys, *, public_url: str, policy: SigningPolicy) -> None:
        """Take what opens the keys, and the base URL where the chains are published."""
        self._master = master
        self._public_url = public_url
        self._policy = policy
        self._pens: dict[str, _Pen] = {}
        self._held: dict[str | None, _Hand] = {}
        self._refusals: dict[str | None, tuple[int, str]] = {}
        self._held_of: Snapshot | None = None
        self._held_period = (math.inf, math.inf)

    def sign_call_in_stages(
        self,
        call: OutboundCall,
        *,
        snapshot: Snapshot,
        tenant: str | None,
        trunk: Trunk | None,
        now: int,
    ) -> Stages[Signed]:
        """Sign a call for a tenant, by its first address (None: nobody's in particular).

        `now` is Unix seconds.

        Raises MissingClaim, InvalidClaim, NotAllowed, NotConfigured in the first stage.
        """
        iat = self._fresh(call.iat, now)
        if trunk is None and call.attest is None:
            raise MissingClaim("attest")
        origid = _origid(call, trunk)
        hand = self._hand(snapshot, tenant, now)
        attest = _attest(call, hand.numbers, trunk)
        pen = hand.pen
        claims = ShakenClaims(
            attest=attest.value, dest=call.dest, iat=iat, orig=call.orig, origid=origid
        )
        pen.check(call.orig, claims)
        token = yield from token_in_stages(pen.header, claims, pen.key)
        return Signed(token + pen.parameters, claims, pen.certificate, hand.chosen)

    def sign_diversion_in_stages(
        self,
        orig: Party,
        diverted: Party,
        dest: Parties,
        *,
        iat: int | None,
        snapshot: Snapshot,
        tenant: str | None,
        now: int,
    ) -> Stages[SignedDiversion]:
        """Sign that a call from `orig` was diverted from one party to another (RFC 8946 §4.1).

        Who diverts must be a number of the tenant, where that lists its numbers: nobody else may
        say of it that it did. Raises InvalidClaim, NotAllowed, NotConfigured in the first stage.
        """
        claims = DivClaims(dest=dest, div=diverted, iat=self._fresh(iat, now), orig=orig)
        hand = self._hand(snapshot, tenant, now)
        pen = hand.pen
        if standing_of(diverted.number, hand.numbers) is Standing.FOREIGN:
            raise NotAllowed(f"{diverted}, who diverts the call, is none of the tenant's numbers")
        pen.check(diverted, claims)
        header = header_segment(x5u=pen.x5u, ppt="div")
        token = yield from token_in_stages(header, claims, pen.key)
        return SignedDiversion(token + _parameters(pen.x5u, "div"), claims, pen.certificate)

    def is_fresh(self, iat: int, *, now: int) -> bool:
        """Say whether an `iat` lies near enough to now, both in Unix seconds."""
        return now - self._policy.freshness <= iat <= now + self._policy.skew

    def x5u_of(self, row: StoredCertificate) -> str | None:
        """Return the URL a signature names for this certificate, None: there is none."""
        return chain_url(self._public_url, row.id) if row.x5u is None else row.x5u

    def choice_for(self, snapshot: Snapshot, tenant: Tenant | None, *, now: int) -> Choice | None:
        """Choose what signs for a tenant (None: nobody's call); None: no certificate can."""
        addresses = () if tenant is None else tenant.addresses
        return snapshot.sti.for_tenant(addresses, now=now, fallback=self._fallback(tenant))

    def appraise(
        self, snapshot: Snapshot, tenant: Tenant | None, *, now: int
    ) -> Sequence[Appraisal]:
        """Say of each STI certificate why `choice_for` chooses it, or not."""
        addresses = () if tenant is None else tenant.addresses
        return snapshot.sti.appraise(addresses, now=now, fallback=self._fallback(tenant))

    def _fallback(self, tenant: Tenant | None) -> Fallback:
        if tenant is not None and tenant.fallback is Fallback.NONE:
            return Fallback.NONE
        return self._policy.fallback

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
        """Drop the keys of certificates that are gone."""
        self._pens = {name: pen for name, pen in self._pens.items() if name in kept}
        self._held, self._refusals = {}, {}

    def _fresh(self, iat: int | None, now: int) -> int:
        if iat is None:
            return now
        if not self.is_fresh(iat, now=now):
            raise InvalidClaim(
                "iat",
                f"{iat} is not within {self._policy.freshness} s before and"
                f" {self._policy.skew} s after now, which is {now}",
            )
        return iat

    def _hand(self, snapshot: Snapshot, address: str | None, now: int) -> _Hand:
        begin, end = self._held_period
        if self._held_of is not snapshot or not begin <= now < end:
            self._held, self._refusals = {}, {}
            self._held_of = snapshot
            self._held_period = snapshot.sti.period(now)
        hand = self._held.get(address)
        if hand is None:
            hand = self._held[address] = self._new_hand(snapshot, address, now)
        return hand

    def _new_hand(self, snapshot: Snapshot, address: str | None, now: int) -> _Hand:
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
        return _Hand(pen, chosen, NO_NUMBERS if tenant is None else tenant.own_numbers)

    def _choose(
        self, snapshot: Snapshot, tenant: Tenant | None, now: int
    ) -> tuple[StiCandidate, Chosen]:
        choice = self.choice_for(snapshot, tenant, now=now)
        if choice is None:
            who = "this call" if tenant is None else tenant.address
            turned_off = self._fallback(tenant) is Fallback.NONE and len(snapshot.sti) > 0
            why = " and the fallback to others is off" if turned_off else ""
            raise NotConfigured(
                f"no STI certificate with a key is valid now for {who}{why}; import one"
            )
        return choice.candidate, choice.chosen

    def _pen(self, row: StoredCertificate) -> _Pen:
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
        header, parameters = header_segment(x5u=x5u, ppt="shaken"), _parameters(x5u, "shaken")
        mandate = Mandate.read(
            row.subject, tn_auth_list=row.tn_auth_list, constraints=row.claim_constraints
        )
        bound = None if mandate.is_general else mandate
        pen = _Pen(row.id, key, header, parameters, bound, x5u, row)
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


def _parameters(x5u: str, ppt: str) -> str:
    """Return what follows a token of this certificate in an Identity header: `;info=` and so on."""
    placeholder = "e30.e30.e30"
    header = str(Identity(token=placeholder, info=x5u, alg="ES256", ppt=ppt))
    return header.removeprefix(placeholder)


# Without a trunk nobody has said that foreign numbers may have more than partial attestation.
_NO_TRUNK = AttestPolicy(Attest.A, ForeignAttest.B)


def policy_of(trunk: Trunk | None) -> AttestPolicy:
    """Return what is said about attestation where calls of a trunk, or of none, are signed."""
    return _NO_TRUNK if trunk is None else trunk.attest


def _attest(call: OutboundCall, numbers: OwnNumbers, trunk: Trunk | None) -> Attest:
    policy = policy_of(trunk)
    level = attest_for(call.orig.number, wanted=call.attest, policy=policy, numbers=numbers)
    if level is None:
        raise NotAllowed(
            f"{call.orig} is none of the tenant's numbers, and the trunk refuses others"
        )
    return level


def _origid(call: OutboundCall, trunk: Trunk | None) -> str:
    if call.origid is not None:
        if not is_origid(call.origid):
            raise InvalidClaim("origid", "a UUID is expected (RFC 8588 section 5)")
        return call.origid
    if trunk is None:
        raise MissingClaim("origid")
    return trunk.origid
