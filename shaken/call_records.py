"""What the record of a call says, whichever way the call was asked about. Pure."""

import msgspec

from shaken.concealment import ANONYMOUS
from shaken.signing import Signed, SignedDiversion
from shaken.store.calls import MAX_RECORDED, CallKind, CallRecord, destinations_text
from shaken.verifier import InboundCall, Outcome

_VERIFIED = CallKind.VERIFIED.value

MAX_REQUEST_ID = 128
"""Characters of what a client calls its request; of a longer Call-ID so many are kept."""

TEST_REQUEST = "admin-test-"
"""How the requests of test calls begin, which an admin has signed on a page."""


def is_test(request_id: str) -> bool:
    """Say whether a request is a test call's: no client may name its own so."""
    return request_id.startswith(TEST_REQUEST)


class Asker(msgspec.Struct, frozen=True):
    """Who asked, and how the request is known: `at` is Unix seconds.

    `credential` is its name, or `sip:` and an address where a PBX is known by that. `request_id`
    is the X-RequestID of HTTP, the Call-ID of SIP; the record has its first MAX_REQUEST_ID.
    """

    at: int
    credential: str
    tenant: str | None
    trunk: str | None
    request_id: str


def signed_record(signed: Signed, asker: Asker) -> CallRecord:
    """Record a call that was signed."""
    return _outgoing(signed, asker, attest=signed.claims.attest, origid=signed.claims.origid)


def diversion_record(signed: SignedDiversion, asker: Asker) -> CallRecord:
    """Record a call whose diversion was signed: attestation is its caller's provider's."""
    return _outgoing(signed, asker, attest="", origid="")


def _outgoing(
    signed: Signed | SignedDiversion, asker: Asker, *, attest: str, origid: str
) -> CallRecord:
    return CallRecord(
        at=asker.at,
        credential=asker.credential,
        tenant=asker.tenant,
        trunk=asker.trunk,
        orig=str(signed.claims.orig),
        dest=destinations_text(signed.claims.dest.all()),
        attest=attest,
        origid=origid,
        certificate=signed.certificate,
        request_id=asker.request_id[:MAX_REQUEST_ID],
    )


def verified_record(outcome: Outcome, call: InboundCall, asker: Asker) -> CallRecord:
    """Record a call that was verified."""
    decision, best = outcome.decision, outcome.best
    attest, origid = outcome.attested or ("", "")
    return CallRecord(
        kind=_VERIFIED,
        at=asker.at,
        credential=asker.credential,
        tenant=asker.tenant,
        trunk=asker.trunk,
        orig=call.orig or ANONYMOUS,
        dest=destinations_text(call.dest),
        attest=attest[:1],
        origid=origid[:64],
        certificate=best.identity.info[:MAX_RECORDED] if best and best.identity else "",
        request_id=asker.request_id[:MAX_REQUEST_ID],
        verstat=str(decision.verstat),
        code=decision.code,
        action=str(decision.action),
        reason=None if decision.words is None else decision.words[:MAX_RECORDED],
    )
