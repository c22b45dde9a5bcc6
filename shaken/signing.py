"""A call becomes an Identity header: which attestation, signed when, and by whose certificate.

`Signer` joins the rules (`attestation`) with what signs for a tenant (`pens`). It reads no clock
and no database; the snapshot and the time come with each call.
"""

import msgspec

from shaken.attestation import (
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
from shaken.pens import Pens, parameters_of
from shaken.signing_errors import InvalidClaim, MissingClaim, NotAllowed
from shaken.snapshot import Snapshot
from shaken.tenants import Trunk
from sip.stages import Stages
from trust.selection import Chosen


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


class Signer:
    """Signs calls, and that they were diverted, with the pens of their tenants."""

    def __init__(self, pens: Pens, *, freshness: int, skew: int) -> None:
        """Take what signs, and how far `iat` may lie before and after now, in seconds."""
        self._pens = pens
        self._freshness = freshness
        self._skew = skew

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
        hand = self._pens.hand(snapshot, tenant, now)
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
        hand = self._pens.hand(snapshot, tenant, now)
        pen = hand.pen
        if standing_of(diverted.number, hand.numbers) is Standing.FOREIGN:
            raise NotAllowed(f"{diverted}, who diverts the call, is none of the tenant's numbers")
        pen.check(diverted, claims)
        header = header_segment(x5u=pen.x5u, ppt="div")
        token = yield from token_in_stages(header, claims, pen.key)
        return SignedDiversion(token + parameters_of(pen.x5u, "div"), claims, pen.certificate)

    def is_fresh(self, iat: int, *, now: int) -> bool:
        """Say whether an `iat` lies near enough to now, both in Unix seconds."""
        return now - self._freshness <= iat <= now + self._skew

    def _fresh(self, iat: int | None, now: int) -> int:
        if iat is None:
            return now
        if not self.is_fresh(iat, now=now):
            raise InvalidClaim(
                "iat",
                f"{iat} is not within {self._freshness} s before and"
                f" {self._skew} s after now, which is {now}",
            )
        return iat


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
